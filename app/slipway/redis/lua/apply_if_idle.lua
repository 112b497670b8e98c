--! needs: pins redis_commands
--! repeatable: no
--! shard: thread
-- Executes commands that change the state of a thread from outside its runs, unless a run is pending or executes.
--
-- KEYS: the thread record.
-- ARGV: the creation time of the thread in µs ('' for a thread without a record); a graph ('' if the version does not
--   matter) and the version of it to which the thread must be pinned ('' for none); the commands: each is its count of
--   words, then its words.
-- Reply: 'ok'; 'busy'; 'moved' if it is pinned to another version; 'deleted' if the thread was deleted, or deleted and
--   created again.
-- Atomic: The check and all commands.
-- Repeatable: No: the commands may count bytes.

local fields = redis.call('HMGET', KEYS[1], 'status', 'created_us')
if (fields[2] or '') ~= ARGV[1] then return 'deleted' end
if fields[1] == 'busy' then return 'busy' end
if ARGV[2] ~= '' and not is_pinned(KEYS[1], ARGV[2], ARGV[3]) then return 'moved' end
execute_commands(4)
return 'ok'
