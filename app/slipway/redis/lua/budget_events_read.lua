--! needs: clock keys
--! repeatable: yes
--! shard: limits
-- Reads events of budgets that webhook endpoints were not told of, and deletes those of periods that have ended.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `limit`, the most events to read.
-- Reply: name and event (a MessagePack map, see `lib/budgets.lua`) of each, flat, chosen by chance if there are more.
-- Atomic: All of it.
-- Repeatable: Yes.

local args, waiting = cmsgpack.unpack(ARGV[2]), {}
local found = redis.call('HRANDFIELD', key('budget_events'), args.limit, 'WITHVALUES')
for i = 1, #found, 2 do
  if cmsgpack.unpack(found[i + 1]).ends_ms <= now_ms then
    redis.call('HDEL', key('budget_events'), found[i])
  else
    waiting[#waiting + 1], waiting[#waiting + 2] = found[i], found[i + 1]
  end
end
return waiting
