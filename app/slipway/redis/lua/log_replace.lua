--! repeatable: no
--! shard: thread
-- Replaces a stream by its copy, if the copy has every entry.
--
-- KEYS: the stream; its copy.
-- ARGV: none.
-- Reply: 1; 0 if the stream has other entries than the copy, or one of them does not exist. Then the copy stays.
-- Atomic: The comparison, and the replacement. The stream expires when it would have expired.
-- Repeatable: No: a repetition replies 0.

local function id_of(entries) return entries[1] and entries[1][1] end

local first = id_of(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1))
local last = id_of(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1))
local first_copied = id_of(redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1))
local last_copied = id_of(redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1))
if not first or first ~= first_copied or last ~= last_copied then return 0 end
if redis.call('XLEN', KEYS[1]) ~= redis.call('XLEN', KEYS[2]) then return 0 end
local ttl_ms = redis.call('PTTL', KEYS[1])
redis.call('RENAME', KEYS[2], KEYS[1])
if ttl_ms >= 0 then redis.call('PEXPIRE', KEYS[1], ttl_ms) else redis.call('PERSIST', KEYS[1]) end
return 1
