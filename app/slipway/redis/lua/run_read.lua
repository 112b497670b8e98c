--! repeatable: yes
--! shard: thread
-- Read a run, if it is one of this thread. Returns its fields, or nothing: of a run on another thread no more is read
-- than of one that does not exist.
-- KEYS: run. ARGV: thread.
if redis.call('HGET', KEYS[1], 'thread_id') ~= ARGV[1] then return {} end
return redis.call('HGETALL', KEYS[1])
