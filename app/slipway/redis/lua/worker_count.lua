--! needs: clock keys
--! repeatable: yes
--! shard: processes
-- Counts the live workers.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `lease_ms`.
-- Reply: the number of workers that sent a heartbeat in the last `lease_ms`.
-- Atomic: Changes nothing.
-- Repeatable: Yes: it only reads.

local args = cmsgpack.unpack(ARGV[2])
return redis.call('ZCOUNT', key('workers'), integer_text(now_ms - args.lease_ms), '+inf')
