--! needs: clock concurrency_groups keys runs threads
-- The lease of a run: which attempt executes it, and until when.

-- Acquires the lease of a queued run for a worker. Returns the number of the attempt.
local function acquire_lease(run_id, thread_id, worker, lease_ms)
  local run, thread = key('run', run_id), key('thread', thread_id)
  local attempt = redis.call('HINCRBY', run, 'attempt', 1)
  if attempt == 1 then assign_ordinal(run_id, thread_id) end
  redis.call('HSET', run, 'phase', 'running', 'reason', '', 'worker', worker, 'last_group', 0,
    'updated_us', integer_text(now_us))
  -- `no_checkpoints`: the thread has no checkpoints, so the worker does not read the newest one
  redis.call('HSET', run, 'no_checkpoints', 1 - redis.call('EXISTS', key('checkpoints', thread_id)))
  redis.call('HSETNX', run, 'started_us', integer_text(now_us))
  for _, pair in ipairs(concurrency_groups_of(run_id)) do redis.call('SADD', key('group_runs', pair[1]), run_id) end
  if redis.call('HEXISTS', run, 'crashes') == 1 then redis.call('SADD', key('running_suspects'), run_id) end
  redis.call('ZADD', key('leases'), integer_text(now_ms + lease_ms), run_id)
  redis.call('ZREM', key('thread_queue', thread_id), run_id)
  redis.call('HSET', thread, 'active_run_id', run_id)
  set_status(thread_id, 'busy')
  redis.call('HDEL', thread, 'error')
  notify_thread(thread_id)
  return attempt
end

local function release_lease(run_id)
  redis.call('ZREM', key('leases'), run_id)
  redis.call('SREM', key('running_suspects'), run_id)
  redis.call('HDEL', key('run', run_id), 'worker', 'inline_request')
  free_concurrency_slots(run_id)
end
