-- Make a cron, or change some of its fields; one that is to be made and is there stays as it is. `moves` says that its due
-- time changes too; none makes it rest.
-- `seed` is what the ids of its runs are derived from.
-- Returns {'ok', fields}, or {'missing'} when the cron, or the thread of a new one, is not there.
local A = cmsgpack.unpack(ARGV[2])
local cron = key('cron', A.cron_id)
if redis.call('EXISTS', cron) == 0 then
  local thread_id = A.fields.thread_id
  if not A.create or (thread_id and redis.call('EXISTS', key('thread', thread_id)) == 0) then return {'missing'} end
  redis.call('HSET', cron, 'cron_id', A.cron_id, 'created_us', whole(now_us), 'seed', A.seed)
  redis.call('ZADD', key('crons'), whole(now_us), A.cron_id)
  if thread_id then redis.call('SADD', key('thread_crons', thread_id), A.cron_id) end
elseif A.create then
  return {'ok', redis.call('HGETALL', cron)}
end
for field, value in pairs(A.fields) do redis.call('HSET', cron, field, value) end
for _, field in ipairs(A.drops) do redis.call('HDEL', cron, field) end
redis.call('HSET', cron, 'updated_us', whole(now_us))
set_members(cron, A.metadata)
if A.moves then move_cron(A.cron_id, A.next_ms) end
return {'ok', redis.call('HGETALL', cron)}
