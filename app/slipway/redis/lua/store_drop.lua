--! needs: clock keys
--! repeatable: yes
--! shard: store
-- Remove an item (`ns` and `key`), or the first `limit` of those whose time is over. Returns how many went.
local args = cmsgpack.unpack(ARGV[2])

local function delete(ns, name)
  local gone = redis.call('HDEL', key('store_items', ns), name)
  redis.call('ZREM', key('store_order', ns), name)
  redis.call('HDEL', key('store_vectors', ns), name)
  redis.call('ZREM', key('store_expiry'), ns .. '\0' .. name)
  if redis.call('EXISTS', key('store_items', ns)) == 0 then
    redis.call('ZREM', key('store_namespaces'), ns .. '.')
  end
  return gone
end

if args.ns then return delete(args.ns, args.key) end
local gone = 0
for _, member in ipairs(redis.call('ZRANGEBYSCORE', key('store_expiry'), '-inf', integer_text(now_ms), 'LIMIT', 0, args.limit)) do
  local cut = string.find(member, '\0', 1, true)
  gone = gone + delete(string.sub(member, 1, cut - 1), string.sub(member, cut + 1))
end
return gone
