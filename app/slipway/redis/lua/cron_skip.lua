--! needs: crons keys
--! repeatable: yes
--! shard: crons
-- Let a due time pass without a run, because of `problem`. With `disable` the cron rests. Returns 1, or 0 when another
-- process has moved the cron on already.
local args = cmsgpack.unpack(ARGV[2])
local cron = key('cron', args.cron_id)
if not has_due_time(args) then return 0 end
redis.call('HSET', cron, 'problem', args.problem)
if args.disable then redis.call('HSET', cron, 'enabled', 0) end
set_next_due_time(args.cron_id, not args.disable and args.next_ms or nil)
return 1
