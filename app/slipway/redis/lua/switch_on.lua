--! needs: keys
--! repeatable: yes
--! shard: thread
-- Switches something on. `switch_resume.lua` then queues the runs that paused there.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `switch` (its key), `by` (the operator).
-- Reply: {'ok'}; {'unchanged'} if it is on.
-- Atomic: The switch, and that its runs are to be resumed.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
-- the first write must not need memory: a full Redis rejects a script if its first write does
if redis.call('HDEL', key('switches'), args.switch) == 0 then return {'unchanged'} end
if redis.call('EXISTS', key('switch_runs', args.switch)) == 1 then
  redis.call('HSET', key('resuming_switches'), args.switch, args.by)
end
redis.call('PUBLISH', key('switch_changes'), args.switch)
return {'ok'}
