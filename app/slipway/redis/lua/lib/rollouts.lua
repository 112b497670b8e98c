--! needs: clock keys
--! rare: count_new_thread count_run
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
