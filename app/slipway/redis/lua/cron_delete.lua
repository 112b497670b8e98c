-- Remove a cron; runs that it made stay. Returns 1, or 0 when there is none.
local A = cmsgpack.unpack(ARGV[2])
return drop_cron(A.cron_id)
