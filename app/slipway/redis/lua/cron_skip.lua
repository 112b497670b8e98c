-- Let a due time pass without a run, because of `problem`. With `disable` the cron rests. Returns 1, or 0 when another
-- process has moved the cron on already.
local A = cmsgpack.unpack(ARGV[2])
local cron = key('cron', A.cron_id)
if not is_due(A) then return 0 end
redis.call('HSET', cron, 'problem', A.problem)
if A.disable then redis.call('HSET', cron, 'enabled', 0) end
move_cron(A.cron_id, not A.disable and A.next_ms or nil)
return 1
