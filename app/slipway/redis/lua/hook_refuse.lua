--! needs: clock keys
--! repeatable: no
--! shard: hooks
-- Counts a request without a valid signature.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `hook`, `why`.
-- Reply: the number of such requests.
-- Atomic: All of it.
-- Repeatable: No: a repetition counts twice.

local args = cmsgpack.unpack(ARGV[2])
local counts = key('hook_counts', args.hook)
redis.call('HSET', counts, 'refused_us', now_us, 'refused_why', args.why)
return redis.call('HINCRBY', counts, 'refused', 1)
