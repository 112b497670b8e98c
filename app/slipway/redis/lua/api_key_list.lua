--! needs: clock keys
--! repeatable: yes
--! shard: access
-- Lists API keys, the newest first.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `limit`, `after` (nil: from the newest on): the id of the last key of the
-- page before.
-- Reply: {now_us, {id, fields} for each, more}, where more is 1 if there are further keys; {'unknown'} if there is no
-- key `after`.
-- Atomic: All of it.
-- Repeatable: Yes.

local args, keys = cmsgpack.unpack(ARGV[2]), {}
local first = 0
if args.after then
  local rank = redis.call('ZREVRANK', key('api_keys'), args.after)
  if not rank then return {'unknown'} end
  first = rank + 1
end
local ids = redis.call('ZREVRANGE', key('api_keys'), first, first + args.limit)
for at = 1, math.min(#ids, args.limit) do
  keys[at] = {ids[at], redis.call('HGETALL', key('api_key', ids[at]))}
end
return {integer_text(now_us), keys, #ids > args.limit and 1 or 0}
