--! needs: clock keys
--! repeatable: yes
--! shard: processes
-- Assigns a duty to a worker if no other live worker holds it. The holder itself renews it.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `duty`, `worker`, `for_ms`.
-- Reply: 1 if the worker holds the duty, else 0.
-- Atomic: The check of the holder and the assignment.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local duty = key('duty', args.duty)
local holder = redis.call('GET', duty)
if holder and holder ~= args.worker and redis.call('ZSCORE', key('workers'), holder) then return 0 end
redis.call('SET', duty, args.worker, 'PX', integer_text(args.for_ms))
return 1
