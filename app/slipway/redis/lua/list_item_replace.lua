--! repeatable: yes
--! shard: thread
-- Replaces an entry of a list, if it is still at its place.
--
-- KEYS: the list; the counter of bytes that the entry is counted in, or none.
-- ARGV: the index of the entry, from 0; the SHA-1 of the entry as it was read; the new one; '1' if its bytes are
--   counted.
-- Reply: 1; 0 if another entry is there, or none.
-- Atomic: All of it.
-- Repeatable: Yes: a repetition finds another entry.

local stored = redis.call('LINDEX', KEYS[1], ARGV[1])
if not stored or redis.sha1hex(stored) ~= ARGV[2] then return 0 end
redis.call('LSET', KEYS[1], ARGV[1], ARGV[3])
if ARGV[4] == '1' then redis.call('INCRBY', KEYS[2], #ARGV[3] - #stored) end
return 1
