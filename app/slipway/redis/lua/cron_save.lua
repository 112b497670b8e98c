--! needs: clock crons keys metadata_members
--! repeatable: yes
--! shard: crons
-- Make a cron, or change some of its fields; one that is to be made and is there stays as it is. `moves` says that its due
-- time changes too; none makes it rest.
-- `seed` is what the ids of its runs are derived from.
-- Returns {'ok', fields}, or {'missing'} when the cron, or the thread of a new one, is not there.
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
