--! needs: clock keys
--! repeatable: yes
--! shard: limits
-- Reads the budgets of which something was used in a period that has not ended.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `limit`, the most budgets to return.
-- Reply: {id, what was used as fields} for each, the period that ends first before all others.
-- Atomic: All of it. Budgets of periods that have ended are removed from the index.
-- Repeatable: Yes.

local args, budgets = cmsgpack.unpack(ARGV[2]), {}
redis.call('ZREMRANGEBYSCORE', key('budgets_used'), '-inf', integer_text(now_ms))
for _, id in ipairs(redis.call('ZRANGE', key('budgets_used'), 0, args.limit - 1)) do
  budgets[#budgets + 1] = {id, redis.call('HGETALL', key('budget', id))}
end
return budgets
