-- Take up to `limit` webhooks of each of `queues` that are due, each for `lease_ms`: whoever dies with one leaves it to be taken again.
-- Returns the put-aside records.
local A = cmsgpack.unpack(ARGV[2])
local taken = {}
for _, queue in ipairs(A.queues) do
  for _, run_id in ipairs(redis.call('ZRANGEBYSCORE', key(queue), '-inf', whole(now_ms), 'LIMIT', 0, A.limit)) do
    local delivery = key('delivery', run_id)
    if redis.call('EXISTS', delivery) == 0 then
      redis.call('ZREM', key(queue), run_id)
    else
      redis.call('HINCRBY', delivery, 'tries', 1)
      redis.call('ZADD', key(queue), whole(now_ms + A.lease_ms), run_id)
      taken[#taken + 1] = redis.call('HGETALL', delivery)
    end
  end
end
return taken
