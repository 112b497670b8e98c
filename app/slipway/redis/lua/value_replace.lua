--! repeatable: yes
--! shard: thread
-- Replaces the value of a field, if nobody has changed it since it was read. It works in every shard: it uses one key,
-- or those of the checkpoints of one thread.
--
-- KEYS: a hash; the hash that counts the bytes of its thread, or none.
-- ARGV: the field; the SHA-1 of its value as it was read; the new value; the field that counts the bytes, or ''.
-- Reply: 1; 0 if the field has another value, or does not exist any more.
-- Atomic: The comparison, the value, and the count.
-- Repeatable: Yes: a repetition finds another value.

local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored or redis.sha1hex(stored) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
if ARGV[4] ~= '' then redis.call('HINCRBY', KEYS[2], ARGV[4], #ARGV[3] - #stored) end
return 1
