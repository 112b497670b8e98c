--! repeatable: yes
--! shard: thread
-- The leftovers of a removed thread are gone: an id is free again, unless another thread of this id was removed since.
-- KEYS: trash. ARGV: thread, the score with which it was found.
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if score and tonumber(score) == tonumber(ARGV[2]) then redis.call('ZREM', KEYS[1], ARGV[1]) end
return 'ok'
