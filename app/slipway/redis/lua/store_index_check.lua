--! needs: keys
--! repeatable: yes
--! shard: store
-- Compares the order of namespaces by their last put with the items, and repairs it on request.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `names` (of namespaces, each with a dot at its end), `repair`.
-- Reply: the namespaces that have a later put than the order says, or are not in it.
-- Atomic: All namespaces of one call.
-- Repeatable: Yes: a repaired problem is not found again.

local args, wrong = cmsgpack.unpack(ARGV[2]), {}
for _, name in ipairs(args.names) do
  local namespace = string.sub(name, 1, -2)
  local newest = redis.call('ZREVRANGE', key('store_order', namespace), 0, 0, 'WITHSCORES')[2]
  local changed = redis.call('ZSCORE', key('store_changed'), name)
  -- deleting its newest item leaves a namespace where it was, which costs a search a read at most
  if newest and (not changed or tonumber(changed) < tonumber(newest)) then
    wrong[#wrong + 1] = namespace
    if args.repair then redis.call('ZADD', key('store_changed'), newest, name) end
  end
end
return wrong
