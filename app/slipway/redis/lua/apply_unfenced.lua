--! needs: redis_commands
--! repeatable: no
--! shard: thread
-- Executes commands of a caller that has no run, such as a checkpointer used outside Slipway.
--
-- KEYS: the key of the first command; the others are in the same shard.
-- ARGV: the commands: each is its count of words, then its words.
-- Reply: 'ok'.
-- Atomic: All commands.
-- Repeatable: No: the commands may count bytes.

execute_commands(1)
return 'ok'
