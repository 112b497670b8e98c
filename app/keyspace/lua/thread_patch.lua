-- Merge fields into a thread. Returns {'ok', thread fields} or {'missing'}.
local A = cmsgpack.unpack(ARGV[2])
local thread = key('thread', A.thread_id)
if redis.call('EXISTS', thread) == 0 then return {'missing'} end
for field, value in pairs(A.fields) do redis.call('HSET', thread, field, value) end
if A.state then
  redis.call('HSET', thread, 'state_us', whole(now_us), 'rest_status', A.state)
  if redis.call('HGET', thread, 'status') ~= 'busy' then redis.call('HSET', thread, 'status', A.state) end
end
touch(A.thread_id)
return {'ok', redis.call('HGETALL', thread)}
