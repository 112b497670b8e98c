--! needs: redis_commands
--! repeatable: no
--! shard: thread
-- Executes commands that change the state of the thread of a paused run.
--
-- KEYS: the run record.
-- ARGV: the creation time of the run in µs; the commands: each is its count of words, then its words.
-- Reply: 'ok'; 'not_paused' if the run is not paused, or is another one.
-- Atomic: The check and all commands.
-- Repeatable: No: the commands may count bytes.

local fields = redis.call('HMGET', KEYS[1], 'phase', 'created_us')
if fields[1] ~= 'paused' or fields[2] ~= ARGV[1] then return 'not_paused' end
execute_commands(2)
return 'ok'
