--! needs: clock jobs keys versions
--! repeatable: yes
--! shard: thread
-- Counts the jobs of the queues and of each lane, the leases and the repairs.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `max_jobs` (jobs of each queue that are read to find the oldest one).
-- Reply: {due jobs, also those in lanes; later jobs; leases; ms since the oldest due job outside lanes became due;
--   {problem, repairs, ...}; the lanes (`lanes_in_use`)}.
-- Atomic: Changes nothing; all numbers are of one moment.
-- Repeatable: Yes: it only reads.

local args = cmsgpack.unpack(ARGV[2])
local oldest_ms = 0
for _, queue in ipairs({'queue', 'suspect_queue'}) do
  local first = redis.call('ZRANGE', key(queue), 0, args.max_jobs - 1, 'WITHSCORES')
  for i = 1, #first, 2 do
    local run_id = split_job(first[i])
    local sooner_ms = run_id and redis.call('HGET', key('run', run_id), 'priority_ms') or 0
    oldest_ms = math.max(oldest_ms, now_ms - (first[i + 1] - sooner_ms))
  end
end
local lanes, due = lanes_in_use(), redis.call('ZCARD', key('queue')) + redis.call('ZCARD', key('suspect_queue'))
for _, lane in ipairs(lanes) do due = due + lane[3] end
return {
  due,
  redis.call('ZCARD', key('later_queue')),
  redis.call('ZCARD', key('leases')),
  integer_text(oldest_ms),
  redis.call('HGETALL', key('repairs')),
  lanes,
}
