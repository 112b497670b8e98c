--! needs: pins redis_commands
--! repeatable: no
--! shard: thread
-- Executes commands that change the state of the thread of a paused run.
--
-- KEYS: the run record; the record of its thread.
-- ARGV: the creation time of the run in µs; the graph of the thread, and the version of it to which the thread must be
--   pinned ('' for none); the commands: each is its count of words, then its words.
-- Reply: 'ok'; 'busy' if the run is not paused, or is another one; 'moved' if the thread is pinned to another version.
-- Atomic: The check and all commands.
-- Repeatable: No: the commands may count bytes.

local fields = redis.call('HMGET', KEYS[1], 'phase', 'created_us')
if fields[1] ~= 'paused' or fields[2] ~= ARGV[1] then return 'busy' end
if not is_pinned(KEYS[2], ARGV[2], ARGV[3]) then return 'moved' end
execute_commands(4)
return 'ok'
