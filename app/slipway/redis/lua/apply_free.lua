--! needs: commands
--! repeatable: no
--! shard: thread
-- Run a group of commands. ARGV: each command as its length, then its words.
run_commands(1)
return 'ok'
