--! needs: clock keys
--! repeatable: no
--! shard: targets
-- Divides the shards among the processes that look for due deliveries: each is given to one process in a while.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `queues` (which queues the process reads, as a text), `count` (of the shards
--   of threads), `every_ms` (how long a shard is not given again), `most` (shards that the process takes).
-- Reply: the numbers of the shards, those that waited longest first.
-- Atomic: All of them.
-- Repeatable: No: a repetition gives others.

local args = cmsgpack.unpack(ARGV[2])
local looks = key('delivery_looks', args.queues)
if redis.call('ZCARD', looks) ~= args.count then
  for number = 0, args.count - 1 do redis.call('ZADD', looks, 'NX', 0, number) end
end
local taken = redis.call('ZRANGEBYSCORE', looks, '-inf', integer_text(now_ms - args.every_ms), 'LIMIT', 0, args.most)
for i, number in ipairs(taken) do
  redis.call('ZADD', looks, integer_text(now_ms), number)
  taken[i] = tonumber(number)
end
return taken
