--! needs: cancel_causes clock concurrency_groups deliveries events keys run_indexes runs threads worker_messages
-- Cancelling runs.

-- Cancels a run that never started, at once. The action `rollback` deletes it.
local function cancel_queued_run(run_id, thread_id, action, cause, reason, event_ttl_s)
  local run = key('run', run_id)
  assign_ordinal(run_id, thread_id)
  redis.call('ZREM', key('thread_queue', thread_id), run_id)
  delete_job(run_id)
  redis.call('HSET', run, 'phase', 'cancelled', 'reason', '', 'cancel_action', action,
    'updated_us', integer_text(now_us))
  index_phase(run_id, redis.call('HGET', run, 'created_us'), 'queued', 'cancelled')
  set_cancel_cause(run, cause, reason)
  create_delivery(run_id, thread_id, action == 'rollback' and 'rollback' or 'interrupted')
  append_events(run_id, {end_event(run_id, 'interrupted')})
  notify_thread(thread_id)
  if action == 'rollback' then
    delete_run(run_id, thread_id)
  else
    redis.call('EXPIRE', key('events', run_id), event_ttl_s)
  end
end

-- Requests the attempt that executes the run to stop. The attempt settles the run. The first request for an action sets the cause.
local function request_cancel(run_id, action, cause, reason)
  local run = key('run', run_id)
  if redis.call('HGET', run, 'cancel_action') ~= action then set_cancel_cause(run, cause, reason) end
  redis.call('HSET', run, 'cancel_action', action)
  local worker = redis.call('HGET', run, 'worker')
  if worker then send_to_worker(worker, run_id, action) end
end
