--! needs: clock keys
--! repeatable: yes
--! shard: store
-- Deletes one item, or the first expired items.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `ns` and `key`, or `limit`.
-- Reply: the number of deleted items.
-- Atomic: Each item, its vectors, and the indexes.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])

local function delete(ns, name)
  local deleted = redis.call('HDEL', key('store_items', ns), name)
  redis.call('ZREM', key('store_order', ns), name)
  redis.call('HDEL', key('store_vectors', ns), name)
  redis.call('ZREM', key('store_expiry'), ns .. '\0' .. name)
  if redis.call('EXISTS', key('store_items', ns)) == 0 then
    redis.call('ZREM', key('store_namespaces'), ns .. '.')
    redis.call('ZREM', key('store_changed'), ns .. '.')
  end
  return deleted
end

if args.ns then return delete(args.ns, args.key) end
local deleted = 0
local expired = redis.call('ZRANGEBYSCORE', key('store_expiry'), '-inf', integer_text(now_ms), 'LIMIT', 0, args.limit)
for _, member in ipairs(expired) do
  local cut = string.find(member, '\0', 1, true)
  deleted = deleted + delete(string.sub(member, 1, cut - 1), string.sub(member, cut + 1))
end
return deleted
