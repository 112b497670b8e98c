--! needs: clock crons keys metadata_members
--! repeatable: yes
--! shard: crons
-- Creates a cron, or changes some fields of it. A cron that exists already is not created again and stays as it is.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `cron_id`, `create`, `fields` (map of field to text), `drops` (fields to
--   delete), `metadata` (map of member to JSON), `moves` (whether the due time changes), `next_ms` (nil disables the
--   cron), `seed` (from which the ids of its runs are derived).
-- Reply: {'ok', fields}; {'missing'} if the cron, or the thread of a new one, does not exist.
-- Atomic: The record, the indexes, and the list of the thread's crons.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local cron = key('cron', args.cron_id)
if redis.call('EXISTS', cron) == 0 then
  local thread_id = args.fields.thread_id
  if not args.create or (thread_id and redis.call('EXISTS', key('thread', thread_id)) == 0) then return {'missing'} end
  redis.call('HSET', cron, 'cron_id', args.cron_id, 'created_us', integer_text(now_us), 'seed', args.seed)
  redis.call('ZADD', key('crons'), integer_text(now_us), args.cron_id)
  if thread_id then redis.call('SADD', key('thread_crons', thread_id), args.cron_id) end
elseif args.create then
  return {'ok', redis.call('HGETALL', cron)}
end
for field, value in pairs(args.fields) do redis.call('HSET', cron, field, value) end
for _, field in ipairs(args.drops) do redis.call('HDEL', cron, field) end
redis.call('HSET', cron, 'updated_us', integer_text(now_us))
set_metadata_members(cron, args.metadata)
if args.moves then set_next_due_time(args.cron_id, args.next_ms) end
return {'ok', redis.call('HGETALL', cron)}
