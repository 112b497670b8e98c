--! needs: clock keys
--! repeatable: yes
--! shard: store
-- Reads items of one namespace.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `ns`, `keys`, `refresh` (whether their time to live starts again).
-- Reply: for each key: the item as `created|updated|expires|ttl|value` (µs, µs, ms, ms, JSON), or '' if it is missing
--   or expired.
-- Atomic: The reads and the new expiry times.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local items, answer = key('store_items', args.ns), {}
for i, name in ipairs(args.keys) do
  local fields = redis.call('HGET', items, name) or ''
  local created, updated, expires, ttl_ms, at = string.match(fields, '^(%d+)|(%d+)|(%d+)|(%d+)|()')
  if fields ~= '' and expires ~= '0' then
    if tonumber(expires) <= now_ms then
      fields = ''
    elseif args.refresh then
      local later = integer_text(now_ms + ttl_ms)
      redis.call('HSET', items, name,
        created .. '|' .. updated .. '|' .. later .. '|' .. ttl_ms .. '|' .. string.sub(fields, at))
      redis.call('ZADD', key('store_expiry'), later, args.ns .. '\0' .. name)
    end
  end
  answer[i] = fields
end
return answer
