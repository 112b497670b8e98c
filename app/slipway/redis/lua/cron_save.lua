--! needs: clock cron_indexes crons index_entries keys metadata_members
--! repeatable: yes
--! shard: crons
-- Creates a cron, or changes some fields of it. A cron that exists already is not created again and stays as it is. The
-- caller has prepared the thread of a new one (`thread_expect_crons.lua`).
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `cron_id`, `create`, `fields` (map of field to text), `removed_fields`,
--   `metadata` (map of member to JSON), `terms` (see `indexes/terms.py`), `reschedule` (whether to set the due time),
--   `next_ms` (nil: the cron is not due), `seed` (from which the ids of its runs are derived).
-- Reply: {'ok', fields, due time in ms}, without the due time if the cron still has it or if it had not come;
--   {'missing'} if the cron does not exist.
-- Atomic: The record, the indexes, and the list of the thread's crons.
-- Repeatable: Yes, but a repetition replies without the due time, which is then not revoked.

local args = cmsgpack.unpack(ARGV[2])
local cron = key('cron', args.cron_id)
if redis.call('EXISTS', cron) == 0 then
  local thread_id = args.fields.thread_id
  if not args.create then return {'missing'} end
  redis.call('HSET', cron, 'cron_id', args.cron_id, 'created_us', integer_text(now_us), 'seed', args.seed)
  if thread_id then redis.call('SADD', key('thread_crons', thread_id), args.cron_id) end
elseif args.create then
  return {'ok', redis.call('HGETALL', cron), false}
else
  remove_entries(cron_entries(args.cron_id))
end
for field, value in pairs(args.fields) do redis.call('HSET', cron, field, value) end
for _, field in ipairs(args.removed_fields) do redis.call('HDEL', cron, field) end
redis.call('HSET', cron, 'updated_us', integer_text(now_us), 'terms', args.terms)
set_metadata_members(cron, args.metadata)
local passed = false
if args.reschedule then
  passed = due_now(args.cron_id)
  if args.next_ms and passed == integer_text(args.next_ms) then passed = false end
  set_next_due_time(args.cron_id, args.next_ms)
end
add_entries(cron_entries(args.cron_id))
return {'ok', redis.call('HGETALL', cron), passed}
