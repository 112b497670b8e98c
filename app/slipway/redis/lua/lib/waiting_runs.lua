--! needs: clock keys run_indexes
--! rare: abandon_waiting_run complete_waiting_run
-- The waiting run of a thread: the run whose interrupt the thread shows.

-- Completes a run that will not be answered.
local function abandon_waiting_run(run_id, why)
  redis.call('HSET', key('run', run_id), 'phase', 'completed', 'updated_us', integer_text(now_us),
    'reason', 'abandoned: ' .. why)
  index_phase(run_id, redis.call('HGET', key('run', run_id), 'created_us'), 'waiting_for_approval', 'completed')
end

-- Completes the waiting run of a thread, because `next_run` starts. Returns its id if that run answers it, else nil.
local function complete_waiting_run(thread_id, next_run, answered)
  local thread = key('thread', thread_id)
  local waiting = redis.call('HGET', thread, 'waiting_run_id')
  if not waiting then return nil end
  redis.call('HDEL', thread, 'waiting_run_id')
  local run = key('run', waiting)
  local fields = redis.call('HMGET', run, 'phase', 'created_us')
  if fields[1] ~= 'waiting_for_approval' then return nil end
  redis.call('HSET', run, 'phase', 'completed', 'resumed_by', next_run, 'updated_us', integer_text(now_us),
    'reason', answered and 'answered' or 'abandoned: the thread continued without an answer')
  index_phase(waiting, fields[2], 'waiting_for_approval', 'completed')
  return answered and waiting or nil
end
