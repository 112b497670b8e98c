--! needs: clock crons keys
--! repeatable: yes
--! shard: crons
-- Makes a cron due again later for the same due time, because of a problem.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `cron_id`, `incarnation` (creation time in µs), `due_ms`, `problem` (JSON),
--   `by_ms`.
-- Reply: 1; 0 if another process has already set the next due time.
-- Atomic: The problem in the record, and the time at which it is due again in the index. `next_ms` of the record stays.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local cron = key('cron', args.cron_id)
if not has_due_time(args) then return 0 end
redis.call('HSET', cron, 'problem', args.problem)
redis.call('ZADD', key('crons_due'), integer_text(now_ms + args.by_ms), args.cron_id)
return 1
