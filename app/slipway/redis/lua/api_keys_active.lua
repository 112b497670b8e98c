--! needs: clock keys
--! repeatable: yes
--! shard: access
-- Counts the API keys that are neither revoked nor expired.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix.
-- Reply: their number.
-- Atomic: All of it.
-- Repeatable: Yes.

return redis.call('ZCOUNT', key('api_keys_end'), '(' .. integer_text(now_us), '+inf')
