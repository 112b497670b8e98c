--! needs: clock keys
--! repeatable: yes
--! shard: store
-- Stores an item. The creation time of an item that exists stays.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `ns`, `key`, `ttl_ms` (0: forever), `was` (nil, or `created|updated` of the
--   item that is to be replaced, '' for none); the value as JSON; its vectors or ''.
-- Reply: 'ok'; 'changed' if the item is not the one that was to be replaced.
-- Atomic: The check, the item, its vectors, and the indexes.
-- Repeatable: Yes; with `was`, a repetition replies 'changed'.

local args = cmsgpack.unpack(ARGV[2])
local items = key('store_items', args.ns)
local created, expires, existing = integer_text(now_us), 0, ''
local fields = redis.call('HGET', items, args.key)
if fields then
  local first, last, ends = string.match(fields, '^(%d+)|(%d+)|(%d+)|')
  if ends == '0' or tonumber(ends) > now_ms then created, existing = first, first .. '|' .. last end
  if now_us <= tonumber(last) then now_us = tonumber(last) + 1 end -- each put has a time of its own
end
if args.was and args.was ~= existing then return 'changed' end
if args.ttl_ms > 0 then expires = now_ms + args.ttl_ms end
local times = created .. '|' .. integer_text(now_us) .. '|' .. integer_text(expires)
local head = times .. '|' .. integer_text(args.ttl_ms) .. '|'
redis.call('HSET', items, args.key, head .. ARGV[3])
redis.call('ZADD', key('store_order', args.ns), integer_text(now_us), args.key)
redis.call('ZADD', key('store_namespaces'), 0, args.ns .. '.')
redis.call('ZADD', key('store_changed'), integer_text(now_us), args.ns .. '.')
if expires > 0 then
  redis.call('ZADD', key('store_expiry'), integer_text(expires), args.ns .. '\0' .. args.key)
else
  redis.call('ZREM', key('store_expiry'), args.ns .. '\0' .. args.key)
end
if ARGV[4] ~= '' then
  redis.call('HSET', key('store_vectors', args.ns), args.key, ARGV[4])
else
  redis.call('HDEL', key('store_vectors', args.ns), args.key)
end
return 'ok'
