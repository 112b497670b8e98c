--! needs: audit keys runs
--! rare: later_run_has_started retry_problem store_retry
-- Retries: a new run continues the chain of a run that failed or was cancelled.

-- Whether a run of the thread has started after the one with this ordinal. A run that was cancelled before it started
-- has an ordinal too. True if one of them was deleted.
local function later_run_has_started(thread_id, ordinal)
  local later = tonumber(redis.call('HGET', key('thread', thread_id), 'started_runs') or 0) - ordinal
  if later == 0 then return false end
  for _, run_id in ipairs(redis.call('ZREVRANGE', key('thread_runs', thread_id), 0, -1)) do
    local fields = redis.call('HMGET', key('run', run_id), 'ordinal', 'attempt')
    if tonumber(fields[1] or 0) > ordinal then
      if fields[2] ~= '0' then return true end
      later = later - 1
      if later == 0 then return false end
    end
  end
  return true
end

-- The reply if the run of `retry` cannot be retried, else nil: {'exists', fields} of the run that has retried it;
-- {'no_thread'}; {'not_ended', phase}; {'busy', run id}; {'continued'} if a later run of the thread has started, unless
-- the retry starts from a named checkpoint (`named`). `unfinished` is the active or first queued run of the thread.
local function retry_problem(retry, thread_id, unfinished)
  local phase, own_thread, ordinal, retried_by = unpack(redis.call('HMGET', key('run', retry.run_id), 'phase',
    'thread_id', 'ordinal', 'retried_by'))
  if not phase or own_thread ~= thread_id then return {'no_thread'} end
  local retrying = retried_by and redis.call('HGETALL', key('run', retried_by)) or {}
  if #retrying > 0 then return {'exists', retrying} end
  if phase ~= 'failed' and phase ~= 'cancelled' then return {'not_ended', phase} end
  if unfinished then return {'busy', unfinished} end
  if retry.named or not later_run_has_started(thread_id, tonumber(ordinal or 0)) then return nil end
  return {'continued'}
end

-- Makes a run that was just created continue the chain of the run that it retries.
local function store_retry(retry, run_id)
  inherit_chain(retry.run_id, run_id)
  redis.call('HSET', key('run', retry.run_id), 'retried_by', run_id)
  for _, each in ipairs({retry.run_id, run_id}) do append_audit(each, 'run.retried', retry.by, retry.details) end
end
