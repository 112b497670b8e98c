--! needs: cancel_causes clock concurrency_groups deliveries events keys metrics pauses queue run_indexes runs threads webhook_events worker_messages
--! rare: cancel_queued_run request_cancel
-- Cancelling runs.

-- Cancels a run that never started, at once. The action `rollback` deletes it.
local function cancel_queued_run(run_id, thread_id, action, cause, reason, event_ttl_s)
  local run = key('run', run_id)
  assign_ordinal(run_id, thread_id)
  redis.call('ZREM', key('thread_queue', thread_id), run_id)
  unindex_paused(run_id, redis.call('HGET', run, 'switch'))
  delete_job(run_id)
  leave_queued(run_id)
  count_idle_run_end(run_id, 'cancelled')
  redis.call('HSET', run, 'phase', 'cancelled', 'reason', '', 'cancel_action', action,
    'updated_us', integer_text(now_us))
  index_phase(run_id, redis.call('HGET', run, 'created_us'), 'queued', 'cancelled')
  set_cancel_cause(run, cause, reason)
  local status = action == 'rollback' and 'rollback' or 'interrupted'
  create_delivery(run_id, thread_id, status)
  emit_phase(run_id, 'cancelled', {status = status})
  append_events(run_id, {end_event(run_id, 'interrupted')})
  notify_thread(thread_id)
  if action == 'rollback' then
    delete_run(run_id, thread_id)
  else
    redis.call('EXPIRE', key('events', run_id), event_ttl_s)
  end
end

-- Makes the next attempt of a queued or paused run due now. It executes no node; it ends the run with the state of its
-- thread, which only the graph can read from the checkpoint.
local function cancel_between_attempts(run_id)
  local run = key('run', run_id)
  local fields = redis.call('HMGET', run, 'thread_id', 'due_ms', 'phase')
  redis.call('HSET', run, 'due_ms', integer_text(math.min(now_ms, tonumber(fields[2]))))
  if fields[3] == 'paused' then return queue_paused_run(run_id, fields[1], 'to be cancelled') end
  delete_job(run_id)
  if not redis.call('HGET', key('thread', fields[1]), 'active_run_id') then enqueue_next_run(fields[1]) end
end

-- Requests that a run stops. The attempt that executes it settles it, or else the next one, which becomes due at once.
-- The first request for an action sets the cause.
local function request_cancel(run_id, action, cause, reason)
  local run = key('run', run_id)
  if redis.call('HGET', run, 'cancel_action') ~= action then set_cancel_cause(run, cause, reason) end
  redis.call('HSET', run, 'cancel_action', action)
  local fields = redis.call('HMGET', run, 'worker', 'phase')
  if fields[1] then
    send_to_worker(fields[1], run_id, action)
  elseif fields[2] == 'queued' or fields[2] == 'paused' then
    cancel_between_attempts(run_id)
  end
end
