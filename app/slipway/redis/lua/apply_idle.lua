--! needs: commands
--! repeatable: no
--! shard: thread
-- Run a group of commands unless a run of the thread is pending or running, or the thread is another one by now.
-- KEYS: thread. ARGV: when the thread was created ('' is a thread without a record), then each command as its length,
--   then its words. Returns 'ok', 'busy' or 'gone'.
local held = redis.call('HMGET', KEYS[1], 'status', 'created_us')
if (held[2] or '') ~= ARGV[1] then return 'gone' end
if held[1] == 'busy' then return 'busy' end
run_commands(2)
return 'ok'
