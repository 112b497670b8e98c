--! needs: clock keys
--! repeatable: yes
--! shard: processes
-- Lists a worker as live, or removes it from the list. Removes workers without a heartbeat for one lease as well.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `worker`, `is_live` (false for a worker that stops), `lease_ms`.
-- Reply: nothing.
-- Atomic: The list of live workers.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
-- the first command must not need memory: a full Redis rejects a script if its first command does
redis.call('ZREMRANGEBYSCORE', key('workers'), '-inf', integer_text(now_ms - args.lease_ms))
if args.is_live then
  redis.call('ZADD', key('workers'), integer_text(now_ms), args.worker)
else
  redis.call('ZREM', key('workers'), args.worker)
end
