--! needs: clock keys
--! rare: count_new_thread count_run count_ramp
-- What the runs of a graph did while a version of it is ramping. See `rollouts/counts.py`.

-- Counts a new thread that got this version.
local function count_new_thread(graph_id, version)
  local counts = key('rollout_counts', graph_id)
  if redis.call('EXISTS', counts) == 1 then redis.call('HINCRBY', counts, 'threads:' .. version, 1) end
end

-- Counts a run that ends now, under the version in its record. `outcome` is 'succeeded', 'failed' or 'ceilings'. `ramp`
-- is the id of the ramp that the caller knows, nil for any.
local function count_run(run_id, outcome, ramp)
  local fields = redis.call('HMGET', key('run', run_id), 'graph_id', 'version', 'started_us')
  local graph_id, version, started_us = fields[1], fields[2], fields[3]
  if not graph_id or not version or version == '' then return end
  local counts = key('rollout_counts', graph_id)
  local counted = redis.call('HGET', counts, 'ramp')
  if not counted or ramp and ramp ~= counted then return end
  redis.call('HINCRBY', counts, 'ended:' .. outcome .. ':' .. version, 1)
  if outcome == 'succeeded' and started_us then
    local ms = math.max(1, (now_us - started_us) / 1000)
    redis.call('HINCRBY', counts, 'ms:' .. version .. ':' .. math.floor(math.log(ms) / math.log(1.1)), 1)
  end
end

-- Begins the counts of a ramp in this shard, or ends those of one that has ended: then they are kept until the next
-- ramp begins. `ramp` is the id of the ramp, or nil if no version is ramping.
local function count_ramp(graph_id, ramp)
  local counts, last = key('rollout_counts', graph_id), key('rollout_last', graph_id)
  -- the first write must not need memory: a full Redis rejects a script if its first write does
  local counted = redis.call('HGET', counts, 'ramp')
  if counted and not ramp then
    redis.call('RENAME', counts, last)
  elseif counted ~= (ramp or false) then
    redis.call('DEL', counts, last)
  end
  if ramp then redis.call('HSET', counts, 'ramp', ramp) end
end
