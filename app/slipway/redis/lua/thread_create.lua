-- Make a thread. Returns {'ok', thread fields}, {'exists', values of the fields in `existing`}: what its creator is not
-- shown is not read, or {'leftovers'} when those of a removed thread must go first.
local A = cmsgpack.unpack(ARGV[2])
local thread = key('thread', A.thread_id)
if redis.call('EXISTS', thread) == 1 then return {'exists', redis.call('HMGET', thread, unpack(A.existing))} end
if has_leftovers(A.thread_id) then return {'leftovers'} end
redis.call('HSET', thread, 'created_us', whole(now_us), 'state_us', whole(now_us), 'status', 'idle', 'token', A.token)
for field, value in pairs(A.metadata) do redis.call('HSET', thread, 'm:' .. field, value) end
set_ttl(A.thread_id, A.ttl)
touch(A.thread_id)
return {'ok', redis.call('HGETALL', thread)}
