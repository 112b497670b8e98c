-- Remove a cron; runs that it made stay. Returns 1, or 0 when there is none.
local A = cmsgpack.unpack(ARGV[2])
redis.call('ZREM', key('crons'), A.cron_id)
redis.call('ZREM', key('crons_due'), A.cron_id)
return redis.call('DEL', key('cron', A.cron_id))
