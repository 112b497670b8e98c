--! needs: clock keys versions
--! repeatable: yes
--! shard: thread
-- Reads the registered versions, the live workers that claim runs, what they serve, and the lanes.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix.
-- Reply: {`<graph>@<version>`, JSON, ...}; {`<group> <worker>`, ...}; {group, MessagePack, ...}; {{lane, 1 if a live
--   worker serves its version else 0, number of jobs, ms since the first of them was due}, ...}.
-- Atomic: Changes nothing; all of it is of one moment.
-- Repeatable: Yes: it only reads.

return {
  redis.call('HGETALL', key('graph_versions')),
  redis.call('ZRANGEBYSCORE', key('worker_versions'), integer_text(now_ms), '+inf'),
  redis.call('HGETALL', key('version_groups')),
  lanes_in_use(),
}
