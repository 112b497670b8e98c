--! needs: clock keys
--! repeatable: yes
--! shard: access
-- Stores the session of a person who has signed in to the pages with an API key.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `digest` (of the session), `key_id` (of the API key), `lasts_s`, `replaces`
--   (the digest of the earlier session of the same browser, or nil).
-- Reply: when the session ends, in µs.
-- Atomic: The new session exists and the earlier one does not.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local session, until_us = key('page_session', args.digest), now_us + args.lasts_s * 1000000
redis.call('HSET', session, 'key_id', args.key_id, 'until_us', integer_text(until_us))
redis.call('EXPIRE', session, args.lasts_s)
if args.replaces then redis.call('DEL', key('page_session', args.replaces)) end
return integer_text(until_us)
