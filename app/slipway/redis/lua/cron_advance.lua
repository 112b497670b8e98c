--! needs: crons keys
--! repeatable: yes
--! shard: crons
-- Sets the next due time of a cron after the run of its due time was created.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `cron_id`, `incarnation` (creation time in µs), `due_ms`, `next_ms` (nil: no
--   due time is left), `run_id` (nil if no run was created).
-- Reply: 1; 0 if the cron does not have this due time any more.
-- Atomic: The record and the index of due times.
-- Repeatable: Yes: a repetition finds another due time.

local args = cmsgpack.unpack(ARGV[2])
if not has_due_time(args) then return 0 end
set_next_due_time(args.cron_id, args.next_ms)
if args.run_id then
  local cron = key('cron', args.cron_id)
  redis.call('HSET', cron, 'last_run_id', args.run_id)
  redis.call('HDEL', cron, 'problem')
end
return 1
