-- Make a cron, or change some of its fields; one that is to be made and is there stays as it is. `moves` says that its due
-- time changes too; none makes it rest.
-- Returns {'ok', fields} or {'missing'}.
local A = cmsgpack.unpack(ARGV[2])
local cron = key('cron', A.cron_id)
if redis.call('EXISTS', cron) == 0 then
  if not A.create then return {'missing'} end
  redis.call('HSET', cron, 'cron_id', A.cron_id, 'created_us', whole(now_us))
  redis.call('ZADD', key('crons'), whole(now_us), A.cron_id)
elseif A.create then
  return {'ok', redis.call('HGETALL', cron)}
end
for field, value in pairs(A.fields) do redis.call('HSET', cron, field, value) end
for _, field in ipairs(A.drops) do redis.call('HDEL', cron, field) end
redis.call('HSET', cron, 'updated_us', whole(now_us))
if A.moves then move_cron(A.cron_id, A.next_ms) end
return {'ok', redis.call('HGETALL', cron)}
