--! needs: keys
--! repeatable: yes
--! shard: thread
-- Prepares a thread for a cron: the deletion of the thread will delete its crons too.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `thread_id`.
-- Reply: {creation time of the thread in µs}; {} if it does not exist, or if it is the temporary thread of a run, on
--   which no other run can be created.
-- Atomic: All of it.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local thread = key('thread', args.thread_id)
local fields = redis.call('HMGET', thread, 'created_us', 'temporary')
if not fields[1] or fields[2] then return {} end
redis.call('HSET', thread, 'has_crons', 1)
return {fields[1]}
