--! needs: keys
--! repeatable: yes
--! shard: thread
-- Says whether an attempt owns its run, and whether its process has claimed it: a server that has lost the claim may
-- have given the same number to an attempt of another process.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; run; attempt; creation time of the run in µs; worker.
-- Reply: 1 or 0.
-- Atomic: Changes nothing.
-- Repeatable: Yes: it only reads.

local fields = redis.call('HMGET', key('run', ARGV[2]), 'attempt', 'created_us', 'worker', 'phase')
local owned = fields[1] == ARGV[3] and fields[2] == ARGV[4] and fields[3] == ARGV[5] and fields[4] == 'running'
return owned and 1 or 0
