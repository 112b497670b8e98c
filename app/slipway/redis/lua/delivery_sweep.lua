--! needs: clock deliveries keys
--! repeatable: yes
--! shard: thread
-- Deletes deliveries that were kept long enough.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `limit`.
-- Reply: how many were deleted.
-- Atomic: Each delivery with its tries and its entries in the index.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local expired = redis.call('ZRANGEBYSCORE', key('deliveries_expiring'), '-inf', integer_text(now_ms), 'LIMIT', 0,
  args.limit)
for _, name in ipairs(expired) do delete_delivery(name) end
return #expired
