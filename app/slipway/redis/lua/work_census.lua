--! needs: clock jobs keys
--! repeatable: yes
--! shard: thread
-- How much work there is and who is there to do it. Changes nothing.
-- Returns {living workers, due jobs, jobs that are not due yet, leases, ms for which the oldest due job has been due,
-- how often each problem was mended}.
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
