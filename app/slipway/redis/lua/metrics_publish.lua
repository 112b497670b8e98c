--! needs: clock keys pending_counts
--! repeatable: yes
--! shard: thread
-- Adds what a process has measured since its last publication to the metrics of the deployment, and replaces its
-- gauges.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `process` (its id), `kind` (of the process), `number` (of the publication),
--   `counts` (by field: what is added), `totals` (by field: what it is at least), `gauges` (by field), `live_ms`
--   (for how long the gauges count), `remember_ms` (for how long the number is known).
-- Reply: 1; 0 if this publication, or a later one, was received before.
-- Atomic: All of it.
-- Repeatable: Yes: a publication with a known number adds nothing.

-- A hash with a value of this size is a hash table, in which a field is found at once.
local ABOUT = 'Counters of the metrics of Slipway, by name and labels: see docs/metrics.md. Do not delete it.'

local args = cmsgpack.unpack(ARGV[2])
local record, metrics = key('metrics_process', args.process), key('metrics')
local number = redis.call('HGET', record, 'number')
if number and tonumber(number) >= args.number then return 0 end
add_up_counts()
for field, by in pairs(args.counts) do redis.call('HINCRBY', metrics, field, by) end
for field, total in pairs(args.totals) do
  if total > tonumber(redis.call('HGET', metrics, field) or 0) then redis.call('HSET', metrics, field, total) end
end
redis.call('HSETNX', metrics, 'about', ABOUT)
redis.call('DEL', record)
redis.call('HSET', record, 'number', args.number, 'kind', args.kind)
for field, value in pairs(args.gauges) do redis.call('HSET', record, 'gauge:' .. field, value) end
redis.call('PEXPIRE', record, args.remember_ms)
redis.call('ZREMRANGEBYSCORE', key('metrics_processes'), '-inf', integer_text(now_ms))
if args.live_ms > 0 then
  redis.call('ZADD', key('metrics_processes'), integer_text(now_ms + args.live_ms), args.process)
else
  redis.call('ZREM', key('metrics_processes'), args.process)
end
return 1
