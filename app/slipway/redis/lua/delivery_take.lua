--! needs: clock keys
--! repeatable: no
--! shard: thread
--! keys: deliveries internal_deliveries
-- Take up to `limit` webhooks that are due, from the first of `queues` on, each for `lease_ms`: whoever dies with one
-- leaves it to be taken again.
-- Returns the put-aside records, each with the name under which it waits as `delivery_id`.
local args = cmsgpack.unpack(ARGV[2])
local taken = {}
for _, queue in ipairs(args.queues) do
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', key(queue), '-inf', integer_text(now_ms), 'LIMIT', 0, args.limit - #taken)) do
    local delivery = key('delivery', name)
    if redis.call('EXISTS', delivery) == 0 then
      redis.call('ZREM', key(queue), name)
    else
      redis.call('HINCRBY', delivery, 'tries', 1)
      redis.call('ZADD', key(queue), integer_text(now_ms + args.lease_ms), name)
      local held = redis.call('HGETALL', delivery)
      held[#held + 1] = 'delivery_id'
      held[#held + 1] = name
      taken[#taken + 1] = held
    end
  end
end
return taken
