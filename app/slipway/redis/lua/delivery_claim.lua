--! needs: clock keys
--! repeatable: no
--! shard: thread
--! keys: deliveries internal_deliveries
-- Claims due deliveries, each for a limited time: if the process dies, they are claimed again.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `queues` (key kinds, in the order of reading), `limit`, `lease_ms`.
-- Reply: the fields of each delivery, and its name as `delivery_id`.
-- Atomic: The number of tries and the time of the next claim.
-- Repeatable: No: a repetition claims other deliveries.

local args = cmsgpack.unpack(ARGV[2])
local claimed = {}
for _, queue in ipairs(args.queues) do
  local remaining = args.limit - #claimed
  local due = redis.call('ZRANGEBYSCORE', key(queue), '-inf', integer_text(now_ms), 'LIMIT', 0, remaining)
  for _, name in ipairs(due) do
    local delivery = key('delivery', name)
    if redis.call('EXISTS', delivery) == 0 then
      redis.call('ZREM', key(queue), name)
    else
      redis.call('HINCRBY', delivery, 'tries', 1)
      redis.call('ZADD', key(queue), integer_text(now_ms + args.lease_ms), name)
      local fields = redis.call('HGETALL', delivery)
      fields[#fields + 1] = 'delivery_id'
      fields[#fields + 1] = name
      claimed[#claimed + 1] = fields
    end
  end
end
return claimed
