--! needs: clock keys pending_counts
--! rare: claim_wait_us count_claim count_reclaimed count_review enter_queued is_in_queued leave_queued
-- Metrics: what the scripts count (`telemetry/table`), together with the change itself (`pending_counts.lua`). A
-- counter is a field of one hash: the name of the metric without `slipway_`, then its labels, separated by the byte 31.
-- A histogram has a field for each bucket, which ends with its number, and one that ends with `us`: the sum in µs.
--
-- With `SLIPWAY_METRICS` off, the functions of this file do nothing (`redis/script_source.py`), so they return nil.

local function count_metric(field, by)
  store_counts(cmsgpack.pack(COUNTER, field, by or 1, 0))
end

-- One of so many quick ones has an exemplar; of the others, each.
local QUICK_US = 300000
local QUICK_EXEMPLARS = 16

-- An item with the exemplar of an observation, or ''. `trace` is that field of the run, or false: if spans of the run
-- are stored or exported, its trace becomes the exemplar of the bucket.
local function exemplar_items(series, us, trace)
  if not trace or us <= QUICK_US and now_us % QUICK_EXEMPLARS ~= 0
      or string.sub(trace, 55, 55) ~= '1' and string.sub(trace, 57, 57) ~= 'k' then
    return ''
  end
  local text = string.sub(trace, 4, 35) .. ' ' .. us .. ' ' .. integer_text(now_us)
  return cmsgpack.pack(EXEMPLAR, series, us, text)
end

-- Whether this process counts: nil with `SLIPWAY_METRICS` off.
local function counts_metrics() return true end

local LONGEST_VERSION = 40

local function priority_name(priority_ms)
  if not priority_ms or priority_ms == 0 then return 'normal' end
  return tonumber(priority_ms) < 0 and 'high' or 'low'
end

-- What the caller stores in the field `queued_as` of a run that is queued: version, priority, and since when it is due
-- in µs, 16 digits. Redis stores small records without longer values in less memory.
local function queued_as_of(version, priority_ms, since_us)
  return string.sub(version or '', 1, LONGEST_VERSION) .. '\31' .. priority_name(priority_ms) .. '\31' .. since_us
end

local function queue_member(graph_id, queued_as, run_id) return graph_id .. '\31' .. queued_as .. '\31' .. run_id end

-- The items for a new run. `queued_as` is what `queued_as_of` has returned, false if the run is not queued.
local function creation_items(run_id, graph_id, queued_as)
  local counter = 'new_runs\31' .. graph_id
  if not queued_as then return cmsgpack.pack(COUNTER, counter, 1, 0) end
  return cmsgpack.pack(ENTERS_QUEUE, queue_member(graph_id, queued_as, run_id), 1, counter)
end

-- Adds a run that is queued again to the set of all of them. Returns what the caller stores in its field `queued_as`.
local function enter_queued(run_id, graph_id, version, priority_ms, since_us)
  local queued_as = queued_as_of(version, priority_ms, string.format('%016.0f', since_us))
  store_counts(cmsgpack.pack(ENTERS_QUEUE, queue_member(graph_id, queued_as, run_id), 0, ''))
  return queued_as
end

-- Whether a run is in the set as it was added. The script has called `add_up_counts`.
local function is_in_queued(run_id, graph_id, queued_as)
  return redis.call('ZSCORE', key('queued_runs'), queue_member(graph_id, queued_as, run_id))
end

-- Removes a run that is not queued any more, unless a claim does.
local function leave_queued(run_id)
  local queued_as, graph_id = unpack(redis.call('HMGET', key('run', run_id), 'queued_as', 'graph_id'))
  if not queued_as or queued_as == '' then return end
  store_counts(cmsgpack.pack(LEAVES_QUEUE, queue_member(graph_id, queued_as, run_id), 0, ''))
  redis.call('HSET', key('run', run_id), 'queued_as', '')
end

-- How long a run has waited that was queued before this release, which has no member in the set.
local function claim_wait_us(run_id)
  local fields = redis.call('HMGET', key('run', run_id), 'created_us', 'due_ms')
  return math.max(now_us - (fields[2] and fields[2] * 1000 or fields[1] or now_us), 0)
end

-- The items for an attempt. `queued_as` is that field of the run before the claim: nil if it was not queued.
local function claim_items(run_id, graph_id, priority_ms, queued_as, trace)
  local series = 'queue_wait_seconds\31' .. graph_id .. '\31' .. priority_name(priority_ms)
  if not queued_as or queued_as == '' then
    local waited_us = queued_as ~= nil and claim_wait_us(run_id) or 0
    return cmsgpack.pack(WAIT, series, waited_us, 0) .. exemplar_items(series, waited_us, trace)
  end
  local waited_us = math.max(now_us - string.sub(queued_as, -16), 0)
  return cmsgpack.pack(LEAVES_QUEUE, queue_member(graph_id, queued_as, run_id), waited_us, series)
    .. exemplar_items(series, waited_us, trace)
end

-- Counts the attempt of a run that was not queued.
local function count_claim(run_id, graph_id, priority_ms, trace)
  store_counts(claim_items(run_id, graph_id, priority_ms, nil, trace))
end

-- The items for a run that an attempt has ended, or that begins to wait (`outcome`: its phase). `code` is that of its
-- error, or nil.
local function end_items(graph_id, outcome, created_us, code, trace)
  local series, us = 'run_seconds\31' .. graph_id .. '\31' .. outcome, math.max(now_us - created_us, 0)
  local items = cmsgpack.pack(WAIT, series, us, 0) .. exemplar_items(series, us, trace)
  return code and items .. cmsgpack.pack(COUNTER, 'run_failures\31' .. graph_id .. '\31' .. code, 1, 0) or items
end

-- Counts a run that no attempt has ended. `before`: its phase, if an attempt may have executed it that is fenced now.
local function count_idle_run_end(run_id, outcome, before)
  local graph_id = redis.call('HGET', key('run', run_id), 'graph_id')
  if not graph_id then return end
  local items = cmsgpack.pack(COUNTER, 'runs_ended\31' .. graph_id .. '\31' .. outcome, 1, 0)
  if before == 'running' then
    items = items .. cmsgpack.pack(COUNTER, 'attempts_ended\31' .. graph_id .. '\31' .. outcome, 1, 0)
  end
  store_counts(items)
end

-- Counts an attempt whose worker died, and what became of its run: 'queued', 'paused' or 'failed'. `code` is that of
-- its error, if it was the last attempt.
local function count_reclaimed(run_id, outcome, code, lease_expired)
  local graph_id, created_us, trace = unpack(redis.call('HMGET', key('run', run_id), 'graph_id', 'created_us', 'trace'))
  if not graph_id then return end
  count_metric('attempts_ended\31' .. graph_id .. '\31lost')
  if lease_expired then count_metric('leases_expired') end
  if outcome == 'failed' then
    store_counts(end_items(graph_id, 'failed', created_us, code, trace))
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
  local series = 'approval_wait_seconds\31' .. graph_id .. '\31' .. decision
  store_counts(cmsgpack.pack(WAIT, series, math.max(now_us - created_us, 0), 0))
end
