--! needs: clock keys
--! repeatable: yes
--! shard: access
-- Stores that an API key was used now.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `id`.
-- Reply: nothing.
-- Atomic: Whether the key exists, and the time.
-- Repeatable: Yes.

local record = key('api_key', cmsgpack.unpack(ARGV[2]).id)
if redis.call('EXISTS', record) == 1 then redis.call('HSET', record, 'last_used_us', integer_text(now_us)) end
