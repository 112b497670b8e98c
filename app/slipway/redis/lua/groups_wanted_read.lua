--! needs: clock keys
--! repeatable: yes
--! shard: limits
-- Reads concurrency groups whose slots shards want, and whose exchange nobody has continued for a while.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `idle_ms`, `limit`.
-- Reply: {group, {shard, ...}} of each, with the shards that have slots of it or want some.
-- Atomic: All of it.
-- Repeatable: Yes.

local args, reply = cmsgpack.unpack(ARGV[2]), {}
local before = integer_text(now_ms - args.idle_ms)
for _, group in ipairs(redis.call('ZRANGEBYSCORE', key('groups_wanted'), '-inf', before, 'LIMIT', 0, args.limit)) do
  local shards = {}
  for _, shard in ipairs(redis.call('HKEYS', key('group_shares', group))) do
    if shard ~= 'limit' then shards[#shards + 1] = tonumber(shard) end
  end
  reply[#reply + 1] = {group, shards}
end
return reply
