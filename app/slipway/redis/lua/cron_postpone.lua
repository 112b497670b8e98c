--! needs: clock crons keys
--! repeatable: yes
--! shard: crons
-- Look at a cron that is due again in `by_ms`, because of `problem`; its due time stays what it is. Returns 1, or 0 when
-- another process has moved the cron on already.
local args = cmsgpack.unpack(ARGV[2])
local cron = key('cron', args.cron_id)
if not has_due_time(args) then return 0 end
redis.call('HSET', cron, 'problem', args.problem)
redis.call('ZADD', key('crons_due'), integer_text(now_ms + args.by_ms), args.cron_id)
return 1
