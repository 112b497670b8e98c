-- Remove an item (`ns` and `key`), or the first `limit` of those whose time is over. Returns how many went.
local A = cmsgpack.unpack(ARGV[2])

local function drop(ns, name)
  local gone = redis.call('HDEL', key('store_items', ns), name)
  redis.call('ZREM', key('store_order', ns), name)
  redis.call('HDEL', key('store_vectors', ns), name)
  redis.call('ZREM', key('store_expiry'), ns .. '\0' .. name)
  if redis.call('EXISTS', key('store_items', ns)) == 0 then
    redis.call('ZREM', key('store_namespaces'), ns .. '.')
  end
  return gone
end

if A.ns then return drop(A.ns, A.key) end
local gone = 0
for _, member in ipairs(redis.call('ZRANGEBYSCORE', key('store_expiry'), '-inf', whole(now_ms), 'LIMIT', 0, A.limit)) do
  local cut = string.find(member, '\0', 1, true)
  gone = gone + drop(string.sub(member, 1, cut - 1), string.sub(member, cut + 1))
end
return gone
