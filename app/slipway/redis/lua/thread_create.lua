--! needs: clock keys threads
--! repeatable: yes
--! shard: thread
-- Make a thread. Returns {'ok', thread fields}, {'exists', values of the fields in `existing`}: what its creator is not
-- shown is not read, or {'leftovers'} when those of a removed thread must go first.
local args = cmsgpack.unpack(ARGV[2])
local thread = key('thread', args.thread_id)
if redis.call('EXISTS', thread) == 1 then return {'exists', redis.call('HMGET', thread, unpack(args.existing))} end
if has_leftovers(args.thread_id) then return {'leftovers'} end
redis.call('HSET', thread, 'created_us', integer_text(now_us), 'state_us', integer_text(now_us), 'status', 'idle', 'token', args.token)
for field, value in pairs(args.metadata) do redis.call('HSET', thread, 'm:' .. field, value) end
set_ttl(args.thread_id, args.ttl)
set_updated(args.thread_id)
return {'ok', redis.call('HGETALL', thread)}
