--! needs: crons keys
--! repeatable: yes
--! shard: crons
-- Sets the next due time of a cron without creating the run of the last one, because of a problem.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `cron_id`, `incarnation` (creation time in µs), `due_ms`, `next_ms` (nil: no
--   due time is left), `problem` (text).
-- Reply: 1; 0 if another process has already set the next due time.
-- Atomic: The record and the index of due times.
-- Repeatable: Yes: a repetition finds another due time.

local args = cmsgpack.unpack(ARGV[2])
local cron = key('cron', args.cron_id)
if not has_due_time(args) then return 0 end
redis.call('HSET', cron, 'problem', args.problem)
set_next_due_time(args.cron_id, args.next_ms)
return 1
