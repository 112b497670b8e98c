--! needs: clock keys
--! repeatable: yes
--! shard: clients
-- Takes one of the streams that a client may have open, for the time of a lease.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `client` (its digest), `stream` (an id of this stream), `most` (streams at
--   the same time), `lease_ms`.
-- Reply: '1' if the client has the slot, '0' if it has `most` others.
-- Atomic: The count and the taking. Slots whose lease has expired do not count: their process does not exist any more.
-- Repeatable: Yes: the same stream takes one slot.

local args = cmsgpack.unpack(ARGV[2])
local slots = key('stream_slots', args.client)
redis.call('ZREMRANGEBYSCORE', slots, '-inf', integer_text(now_ms))
if not redis.call('ZSCORE', slots, args.stream) and redis.call('ZCARD', slots) >= args.most then return '0' end
redis.call('ZADD', slots, integer_text(now_ms + args.lease_ms), args.stream)
redis.call('PEXPIRE', slots, integer_text(args.lease_ms))
return '1'
