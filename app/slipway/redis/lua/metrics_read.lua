--! needs: clock keys pending_counts
--! repeatable: yes
--! shard: thread
-- Reads all figures of the deployment. Those that were read less than `fresh_ms` ago are replied again, so all
-- processes show the same, and none shows an older one after a newer one.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `fresh_ms`, `most` (labels of the queue, and processes, that are read).
-- Reply: {a MessagePack map, for how many ms it is replied}. The map: `metrics` (fields of the hash), `queue` (graph,
--   version and priority; runs; ms since the first was due: for each), `phases` (phase, runs, …), `webhooks` (that
--   wait), `repairs` (problem, count, …), `processes` (the fields of each).
-- Atomic: All figures are of one moment.
-- Repeatable: Yes: it changes no figure, and keeps what it has read.

local args = cmsgpack.unpack(ARGV[2])
local kept = redis.call('GET', key('metrics_read'))
if kept then return {kept, math.max(redis.call('PTTL', key('metrics_read')), 0)} end
add_up_counts()

-- The members of a graph, version and priority are neighbours. Each step finds the first of the next ones.
local function queue_by_labels()
  local found, after = {}, '-'
  while #found < args.most do
    local first = redis.call('ZRANGEBYLEX', key('queued_runs'), after, '+', 'LIMIT', 0, 1)[1]
    if not first then return found end
    local labels, since_us = string.match(first, '^(.*\31)(%d+)\31.-$')
    if not labels then return found end
    after = '(' .. labels .. '\255'
    found[#found + 1] = {labels, redis.call('ZLEXCOUNT', key('queued_runs'), '[' .. labels, after),
      math.max(math.floor((now_us - since_us) / 1000), 0)}
  end
  return found
end

local function runs_with(phase) return redis.call('ZCARD', key('runs_with', phase)) end

local function phases()
  local running, paused = redis.call('ZCARD', key('leases')), redis.call('ZCARD', key('paused_runs'))
  return {
    'queued', math.max(runs_with('unfinished') - running - paused, 0), 'running', running, 'paused', paused,
    'waiting_for_approval', runs_with('waiting_for_approval'), 'completed', runs_with('completed'),
    'failed', runs_with('failed'), 'cancelled', runs_with('cancelled'),
  }
end

local processes = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('metrics_processes'), integer_text(now_ms), '+inf', 'LIMIT', 0,
    args.most)) do
  processes[#processes + 1] = redis.call('HGETALL', key('metrics_process', id))
end
local read = cmsgpack.pack({
  metrics = redis.call('HGETALL', key('metrics')),
  queue = queue_by_labels(),
  phases = phases(),
  webhooks = redis.call('ZCARD', key('deliveries')) + redis.call('ZCARD', key('internal_deliveries')),
  repairs = redis.call('HGETALL', key('repairs')),
  processes = processes,
})
-- a full Redis rejects this: then each reply is read again
local stored = redis.pcall('SET', key('metrics_read'), read, 'PX', args.fresh_ms)
return {read, not stored.err and args.fresh_ms or 0}
