--! repeatable: yes
--! shard: thread
-- Reads a run of a thread. A run of another thread is treated like one that does not exist.
--
-- KEYS: the run record.
-- ARGV: thread.
-- Reply: the fields, or nothing.
-- Atomic: Changes nothing.
-- Repeatable: Yes: it only reads.

if redis.call('HGET', KEYS[1], 'thread_id') ~= ARGV[1] then return {} end
return redis.call('HGETALL', KEYS[1])
