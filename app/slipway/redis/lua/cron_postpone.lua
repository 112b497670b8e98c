-- Look at a cron that is due again in `by_ms`, because of `problem`; its due time stays what it is. Returns 1, or 0 when
-- another process has moved the cron on already.
local A = cmsgpack.unpack(ARGV[2])
local cron = key('cron', A.cron_id)
if not is_due(A) then return 0 end
redis.call('HSET', cron, 'problem', A.problem)
redis.call('ZADD', key('crons_due'), whole(now_ms + A.by_ms), A.cron_id)
return 1
