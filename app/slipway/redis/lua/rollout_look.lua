--! needs: keys
--! repeatable: yes
--! shard: thread
-- Stores that the versions of a ramp were compared.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; graph; id of the ramp; number of the look, from 1.
-- Reply: 1; 0 if this ramp has ended.
-- Atomic: Whether the ramp is the current one, and the number.
-- Repeatable: Yes.

local counts = key('rollout_counts', ARGV[2])
if redis.call('HGET', counts, 'ramp') ~= ARGV[3] then return 0 end
redis.call('HSET', counts, 'looks', ARGV[4])
return 1
