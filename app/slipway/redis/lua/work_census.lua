--! needs: clock jobs keys
--! repeatable: yes
--! shard: thread
-- Counts the work and the workers.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `lease_ms`, `look_at` (how many jobs are read to find the oldest).
-- Reply: {live workers, due jobs, later jobs, leases, ms since the oldest due job became due, {problem, repairs,
--   ...}}.
-- Atomic: Changes nothing; all numbers are of one moment.
-- Repeatable: Yes: it only reads.

local args = cmsgpack.unpack(ARGV[2])
local oldest_ms = 0
for _, place in ipairs({'queue', 'suspect_queue'}) do
  local first = redis.call('ZRANGE', key(place), 0, args.look_at - 1, 'WITHSCORES')
  for i = 1, #first, 2 do
    local run_id = split_job(first[i])
    local sooner_ms = run_id and redis.call('HGET', key('run', run_id), 'priority_ms') or 0
    oldest_ms = math.max(oldest_ms, now_ms - (first[i + 1] - sooner_ms))
  end
end
return {
  redis.call('ZCOUNT', key('workers'), integer_text(now_ms - args.lease_ms), '+inf'),
  redis.call('ZCARD', key('queue')) + redis.call('ZCARD', key('suspect_queue')),
  redis.call('ZCARD', key('later_queue')),
  redis.call('ZCARD', key('leases')),
  integer_text(oldest_ms),
  redis.call('HGETALL', key('repairs')),
}
