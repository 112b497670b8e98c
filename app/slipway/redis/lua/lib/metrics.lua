--! needs: clock keys
--! rare: claim_wait_us count_reclaimed count_review is_in_queued leave_queued
-- Metrics: what the scripts count (`telemetry/table`), together with the change itself. A counter is a field of one
-- hash: the name of the metric without `slipway_`, then its labels, separated by the byte 31. A histogram has a
-- field for each bucket, which ends with its number, and one that ends with `us`: the sum in µs.
--
-- With `SLIPWAY_METRICS` off, the functions of this file do nothing (`redis/script_source.py`).

local function count_metric(field, by)
  redis.call('HINCRBY', key('metrics'), field, by or 1)
end

-- The number of the bucket for a time in µs. The bounds are `WAITS` in `telemetry/table/buckets.py`.
local function wait_bucket(us)
  if us <= 10000 then return 1 end
  if us <= 30000 then return 2 end
  if us <= 100000 then return 3 end
  if us <= 300000 then return 4 end
  if us <= 1000000 then return 5 end
  if us <= 3000000 then return 6 end
  if us <= 10000000 then return 7 end
  if us <= 30000000 then return 8 end
  if us <= 60000000 then return 9 end
  if us <= 180000000 then return 10 end
  if us <= 600000000 then return 11 end
  if us <= 1800000000 then return 12 end
  if us <= 3600000000 then return 13 end
  if us <= 14400000000 then return 14 end
  if us <= 86400000000 then return 15 end
  if us <= 604800000000 then return 16 end
  return 17
end

-- One of so many quick ones has an exemplar; of the others, each.
local QUICK_BUCKETS = 4
local QUICK_EXEMPLARS = 16

-- Observes a time in a histogram. `trace` is that field of the run, or false: if spans of the run are stored or
-- exported, its trace becomes the exemplar of the bucket.
local function observe_time(series, us, trace)
  us = us > 0 and math.floor(us) or 0
  local bucket = wait_bucket(us)
  count_metric(series .. '\31' .. bucket)
  count_metric(series .. '\31us', us)
  if trace and (bucket > QUICK_BUCKETS or now_us % QUICK_EXEMPLARS == 0)
      and (string.sub(trace, 55, 55) == '1' or string.sub(trace, 57, 57) == 'k') then
    redis.call('HSET', key('metrics'), series .. '\31' .. bucket .. 'x', string.sub(trace, 4, 35) .. ' ' .. us .. ' '
      .. integer_text(now_us))
  end
end

local function priority_name(priority_ms)
  if not priority_ms or priority_ms == 0 then return 'normal' end
  return tonumber(priority_ms) < 0 and 'high' or 'low'
end

-- Whether this process counts: nil with `SLIPWAY_METRICS` off.
local function counts_metrics() return true end

local LONGEST_VERSION = 40

local function queue_member(graph_id, queued_as, run_id) return graph_id .. '\31' .. queued_as .. '\31' .. run_id end

-- Adds a run that is queued to the set of all of them. Returns what the caller stores in the field `queued_as` of the
-- run: version, priority, and since when it is due in µs, 16 digits. Redis stores small records without longer values
-- in less memory.
local function enter_queued(run_id, graph_id, version, priority_ms, since_us)
  local queued_as = string.sub(version or '', 1, LONGEST_VERSION) .. '\31' .. priority_name(priority_ms) .. '\31'
    .. string.format('%016.0f', since_us)
  redis.call('ZADD', key('queued_runs'), 0, queue_member(graph_id, queued_as, run_id))
  return queued_as
end

-- Whether a run is in the set as it was added.
local function is_in_queued(run_id, graph_id, queued_as)
  return redis.call('ZSCORE', key('queued_runs'), queue_member(graph_id, queued_as, run_id))
end

-- Removes a run that is not queued any more, unless a claim does.
local function leave_queued(run_id)
  local queued_as, graph_id = unpack(redis.call('HMGET', key('run', run_id), 'queued_as', 'graph_id'))
  if not queued_as or queued_as == '' then return end
  redis.call('ZREM', key('queued_runs'), queue_member(graph_id, queued_as, run_id))
  redis.call('HSET', key('run', run_id), 'queued_as', '')
end

-- How long a run has waited that was queued before this release, which has no member in the set.
local function claim_wait_us(run_id)
  local fields = redis.call('HMGET', key('run', run_id), 'created_us', 'due_ms')
  return now_us - (fields[2] and fields[2] * 1000 or fields[1] or now_us)
end

-- Counts an attempt. `queued_as` is that field of the run before the claim: nil if it was not queued.
local function count_claim(run_id, graph_id, priority_ms, queued_as, trace)
  local wait_us = 0
  if queued_as and queued_as ~= '' then
    redis.call('ZREM', key('queued_runs'), queue_member(graph_id, queued_as, run_id))
    wait_us = now_us - string.sub(queued_as, -16)
  elseif queued_as ~= nil then
    wait_us = claim_wait_us(run_id)
  end
  observe_time('queue_wait_seconds\31' .. graph_id .. '\31' .. priority_name(priority_ms), wait_us, trace)
end

-- Counts a run that an attempt has ended, or that begins to wait (`outcome`: its phase). `code` is that of its error,
-- or nil.
local function count_run_end(graph_id, outcome, created_us, code, trace)
  observe_time('run_seconds\31' .. graph_id .. '\31' .. outcome, now_us - created_us, trace)
  if code then count_metric('run_failures\31' .. graph_id .. '\31' .. code) end
end

-- Counts a run that no attempt has ended. `before`: its phase, if an attempt may have executed it that is fenced now.
local function count_idle_run_end(run_id, outcome, before)
  local graph_id = redis.call('HGET', key('run', run_id), 'graph_id')
  if not graph_id then return end
  count_metric('runs_ended\31' .. graph_id .. '\31' .. outcome)
  if before == 'running' then count_metric('attempts_ended\31' .. graph_id .. '\31' .. outcome) end
end

-- Counts an attempt whose worker died, and what became of its run: 'queued', 'paused' or 'failed'. `code` is that of
-- its error, if it was the last attempt.
local function count_reclaimed(run_id, outcome, code, lease_expired)
  local graph_id, created_us, trace = unpack(redis.call('HMGET', key('run', run_id), 'graph_id', 'created_us', 'trace'))
  if not graph_id then return end
  count_metric('attempts_ended\31' .. graph_id .. '\31lost')
  if lease_expired then count_metric('leases_expired') end
  if outcome == 'failed' then
    count_run_end(graph_id, 'failed', created_us, code, trace)
    -- what ends a run usually ends an attempt, but this one is lost
    count_metric('attempts_ended\31' .. graph_id .. '\31failed', -1)
  elseif code then
    count_metric('ceilings_reached\31' .. graph_id .. '\31' .. code)
  else
    count_metric('run_recoveries\31' .. graph_id)
  end
end

-- Counts a review that nobody can decide any more: 'decided', 'expired' or 'superseded'.
local function count_review(graph_id, decision, created_us)
  observe_time('approval_wait_seconds\31' .. graph_id .. '\31' .. decision, now_us - created_us)
end
