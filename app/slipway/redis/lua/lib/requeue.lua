--! needs: clock keys leases metrics pauses queue webhook_events
-- The return of a run to the queue.

-- Queues a run again, ahead of the later runs of its thread, or pauses it if an operator has requested that or if
-- `switch`, the switch before which its attempt has stopped, is still off, or for its `own` pause. `counts` says
-- whether the attempt counts towards `max_attempts`, and `announce` whether the next one appends a `metadata` event.
local function requeue(run_id, thread_id, counts, announce, reason, delay_ms, switch, own)
  local run = key('run', run_id)
  release_lease(run_id)
  if not counts then redis.call('HINCRBY', run, 'uncounted_attempts', 1) end
  redis.call('HSET', run, 'due_ms', integer_text(now_ms + delay_ms), 'announce_attempt', announce and 1 or 0)
  redis.call('ZADD', key('thread_queue', thread_id), redis.call('HGET', run, 'created_us'), run_id)
  redis.call('HDEL', key('thread', thread_id), 'active_run_id')
  local pause = pause_of(run_id, switch, own)
  if pause then
    set_paused(run_id, pause)
  else
    local graph_id, version, priority_ms = unpack(redis.call('HMGET', run, 'graph_id', 'version', 'priority_ms'))
    local queued_as = enter_queued(run_id, graph_id, version, priority_ms, (now_ms + delay_ms) * 1000)
    redis.call('HSET', run, 'phase', 'queued', 'reason', reason, 'updated_us', integer_text(now_us), 'queued_as',
      queued_as or '')
    emit_phase(run_id, 'queued')
  end
  enqueue_next_run(thread_id)
  return pause
end
