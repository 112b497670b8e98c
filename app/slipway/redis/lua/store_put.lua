-- Keep an item: its first time of creation stays. ARGV[3] is the value as JSON, ARGV[4] its vectors or ''.
local A = cmsgpack.unpack(ARGV[2])
local items = key('store_items', A.ns)
local created, expires = whole(now_us), 0
local held = redis.call('HGET', items, A.key)
if held then
  local first, _, ends = string.match(held, '^(%d+)|(%d+)|(%d+)|')
  if ends == '0' or tonumber(ends) > now_ms then created = first end
end
if A.ttl_ms > 0 then expires = now_ms + A.ttl_ms end
local head = created .. '|' .. whole(now_us) .. '|' .. whole(expires) .. '|' .. whole(A.ttl_ms) .. '|'
redis.call('HSET', items, A.key, head .. ARGV[3])
redis.call('ZADD', key('store_order', A.ns), whole(now_us), A.key)
redis.call('ZADD', key('store_namespaces'), 0, A.ns .. '.')
if expires > 0 then
  redis.call('ZADD', key('store_expiry'), whole(expires), A.ns .. '\0' .. A.key)
else
  redis.call('ZREM', key('store_expiry'), A.ns .. '\0' .. A.key)
end
if ARGV[4] ~= '' then
  redis.call('HSET', key('store_vectors', A.ns), A.key, ARGV[4])
else
  redis.call('HDEL', key('store_vectors', A.ns), A.key)
end
return 'ok'
