--! needs: clock keys
--! repeatable: yes
--! shard: thread
-- Reads which workers are live and claim runs, and what they serve.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix.
-- Reply: {{`<group> <worker>`, ...}, {group, what it serves, ...}}.
-- Atomic: Changes nothing; all of it is of one moment.
-- Repeatable: Yes: it only reads.

local live = redis.call('ZRANGEBYSCORE', key('worker_versions'), integer_text(now_ms), '+inf')
table.sort(live)
return {live, redis.call('HGETALL', key('version_groups'))}
