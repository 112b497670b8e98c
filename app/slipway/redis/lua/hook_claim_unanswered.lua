--! needs: clock keys
--! repeatable: no
--! shard: hooks
-- Claims deliveries that were stored and not answered, because the process that received them has died.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `limit`, `lease_ms` (when another worker may claim them).
-- Reply: the ids of the deliveries.
-- Atomic: All of it.
-- Repeatable: No: a repetition claims others.

local args = cmsgpack.unpack(ARGV[2])
local unanswered = key('unanswered_hook_deliveries')
local due = redis.call('ZRANGEBYSCORE', unanswered, '-inf', integer_text(now_ms), 'LIMIT', 0, args.limit)
local claimed = {}
for _, delivery in ipairs(due) do
  if redis.call('EXISTS', key('hook_delivery', delivery)) == 0 then
    redis.call('ZREM', unanswered, delivery)
  else
    redis.call('ZADD', unanswered, integer_text(now_ms + args.lease_ms), delivery)
    redis.call('HINCRBY', key('hook_delivery', delivery), 'tries', 1)
    claimed[#claimed + 1] = delivery
  end
end
return claimed
