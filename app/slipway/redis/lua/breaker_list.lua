--! needs: clock keys
--! repeatable: yes
--! shard: processes
-- Reads all circuit breakers that are open or have failures on record, and how often each was opened.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix.
-- Reply: {the time in ms, {{breaker, {field, value, ...}}, ...}, {breaker, openings, ...}}.
-- Atomic: All are of one moment. Entries of breakers that have expired are removed.
-- Repeatable: Yes.

redis.call('ZREMRANGEBYSCORE', key('breakers'), '-inf', integer_text(now_ms))
local found = {}
for _, breaker in ipairs(redis.call('ZRANGE', key('breakers'), 0, -1)) do
  found[#found + 1] = {breaker, redis.call('HGETALL', key('breaker', breaker))}
end
return {integer_text(now_ms), found, redis.call('HGETALL', key('breaker_openings'))}
