--! needs: clock concurrency_groups keys threads webhook_events
-- The lease of a run: which attempt executes it, and until when.

-- Acquires the lease of a queued run for a worker. Returns the number of the attempt. `queued` holds the fields
-- `attempt`, `started_us`, `ordinal` and `crashes` of the run and its concurrency groups, and of its thread the fields
-- `status`, `started_runs` and `error`; false or nil for a field that does not exist. Its `execution` says on which
-- version of `graph_id` the run executes (`choose_execution`). If that is not the graph `pinned_graph` of the thread,
-- its moves are forgotten with its pin.
local function acquire_lease(run_id, thread_id, worker, lease_ms, queued)
  local run, thread = key('run', run_id), key('thread', thread_id)
  local execution = queued.execution
  local attempt, started_runs = queued.attempt + 1, queued.started_runs or 0
  if not queued.ordinal then started_runs = started_runs + 1 end
  -- `no_checkpoints`: the thread has no checkpoints, so the worker does not read the newest one
  redis.call('HSET', run, 'phase', 'running', 'reason', '', 'worker', worker, 'attempt', attempt, 'last_group', 0,
    'updated_us', now_us, 'started_us', queued.started_us or now_us, 'ordinal', queued.ordinal or started_runs,
    'no_checkpoints', 1 - redis.call('EXISTS', key('checkpoints', thread_id)), 'version', execution.version or '',
    'build', execution.build or '', 'queued_as', '')
  for _, pair in ipairs(queued.groups) do redis.call('SADD', key('group_runs', pair[1]), run_id) end
  if queued.crashes then redis.call('SADD', key('running_suspects'), run_id) end
  redis.call('ZADD', key('leases'), now_ms + lease_ms, run_id)
  redis.call('ZREM', key('thread_queue', thread_id), run_id)
  redis.call('HSET', thread, 'active_run_id', run_id, 'started_runs', started_runs, 'version', execution.pinned or '',
    'schema', execution.schema or '', 'version_graph', queued.graph_id)
  if queued.pinned_graph and queued.pinned_graph ~= queued.graph_id then
    redis.call('HDEL', thread, 'moves', 'original')
  end
  if queued.status ~= 'busy' then set_status(thread_id, 'busy') end
  if queued.error then redis.call('HDEL', thread, 'error') end
  notify_thread(thread_id)
  emit_phase(run_id, 'running')
  return attempt
end

local function release_lease(run_id)
  redis.call('ZREM', key('leases'), run_id)
  redis.call('SREM', key('running_suspects'), run_id)
  redis.call('HDEL', key('run', run_id), 'worker', 'inline_request')
  free_concurrency_slots(run_id, concurrency_groups_of(run_id))
end
