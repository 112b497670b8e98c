--! needs: cron_deletion
--! repeatable: no
--! shard: crons
-- Remove a cron; runs that it made stay. Returns 1, or 0 when there is none.
local args = cmsgpack.unpack(ARGV[2])
return delete_cron(args.cron_id)
