--! needs: clock fencing keys outages suspects
--! repeatable: yes
--! shard: thread
-- Renews the leases of a process. One of the two scripts of a heartbeat; the other is `worker_list`.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `attempts` ({run, attempt, creation time of the run in µs} of each),
--   `lease_ms`, `grace` (map: `silence_ms`, `lease_ms`; or nil), `claims_as` and `stops_as` (`<group> <worker>` of a
--   worker that claims runs, and of one that does so no longer; or nil), `listed_ms` (for so long it counts as live);
--   what its group serves, for a shard that may not know it, or ''.
-- Reply: {run, instruction} for each run that needs attention: 'lost' if another attempt owns it or it ended, the
--   cancel action, or 'pause' if an operator pauses it.
-- Atomic: All leases of the process, the versions that it serves, and the detection of outages.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local instructions = {}
-- the first command must not need memory: a full Redis rejects a script if its first command does
redis.call('ZREM', key('leases'), '')
if args.grace then in_grace_period(args.grace) end
for _, pair in ipairs(args.attempts) do -- run, attempt, creation time of the run
  local owned = owned_run(pair[1], pair[2], pair[3])
  if not owned then
    uncount_crash(pair[1], pair[2], pair[3])
    instructions[#instructions + 1] = {pair[1], 'lost'}
  else
    redis.call('ZADD', key('leases'), 'XX', integer_text(now_ms + args.lease_ms), pair[1])
    local instruction = owned.cancel or redis.call('HEXISTS', key('run', pair[1]), 'operator_pause') == 1 and 'pause'
    if instruction then instructions[#instructions + 1] = {pair[1], instruction} end
  end
end
if args.stops_as then redis.call('ZREM', key('worker_versions'), args.stops_as) end
if args.claims_as then
  redis.call('ZADD', key('worker_versions'), integer_text(now_ms + args.listed_ms), args.claims_as)
  if ARGV[3] ~= '' then redis.call('HSET', key('version_groups'), string.match(args.claims_as, '^%S+'), ARGV[3]) end
end
return instructions
