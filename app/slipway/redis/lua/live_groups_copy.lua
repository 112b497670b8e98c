--! needs: clock keys
--! repeatable: yes
--! shard: thread
-- Replaces what a shard other than the first knows of live workers.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `workers` (`<group> <worker>` of each that is live), `for_ms` (for so long
--   they count as live); each group, and what it serves.
-- Reply: nothing.
-- Atomic: All of it.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
-- the first command must not need memory: a full Redis rejects a script if its first command does
redis.call('DEL', key('worker_versions'), key('version_groups'))
for _, member in ipairs(args.workers) do
  redis.call('ZADD', key('worker_versions'), integer_text(now_ms + args.for_ms), member)
end
for i = 3, #ARGV, 2 do redis.call('HSET', key('version_groups'), ARGV[i], ARGV[i + 1]) end
