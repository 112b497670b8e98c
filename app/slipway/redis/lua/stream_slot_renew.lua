--! needs: clock keys
--! repeatable: yes
--! shard: clients
-- Extends the leases of the streams that a process has open for one client.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `client` (its digest), `streams` (their ids), `lease_ms`.
-- Reply: 'OK'.
-- Atomic: All leases together. A lease that had expired, because Redis was unavailable, is taken again: its stream is
--   open.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local slots = key('stream_slots', args.client)
for _, stream in ipairs(args.streams) do redis.call('ZADD', slots, integer_text(now_ms + args.lease_ms), stream) end
redis.call('PEXPIRE', slots, integer_text(args.lease_ms))
return 'OK'
