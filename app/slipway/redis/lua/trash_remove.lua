--! repeatable: yes
--! shard: thread
-- Removes a thread from the trash when its checkpoints are deleted, unless another thread of this id was deleted
-- since.
--
-- KEYS: the trash.
-- ARGV: thread; the time of deletion that the caller has read.
-- Reply: 'ok'.
-- Atomic: The check and the removal.
-- Repeatable: Yes.

local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if score and tonumber(score) == tonumber(ARGV[2]) then redis.call('ZREM', KEYS[1], ARGV[1]) end
return 'ok'
