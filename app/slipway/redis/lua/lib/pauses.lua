--! needs: audit clock events keys queue
--! rare: is_to_pause queue_paused_run set_paused
-- Paused runs. A paused run has no lease and no job. It stays in the queue of its thread, so that later runs of the
-- thread wait behind it.

local function notice_event(code, message)
  return {'notice', sse_frame('notice', cjson.encode({code = code, message = message})), ''}
end

-- Whether the run must pause instead of being queued. A run that is to be cancelled does not pause, because only its
-- next attempt can end it.
local function is_to_pause(run_id)
  local fields = redis.call('HMGET', key('run', run_id), 'operator_pause', 'cancel_action')
  return fields[1] and not fields[2]
end

-- Pauses a run that has neither a lease nor a job any more.
local function set_paused(run_id)
  local run = key('run', run_id)
  local pause = cjson.decode(redis.call('HGET', run, 'operator_pause'))
  local reason = 'paused by ' .. pause.by .. (pause.reason and ': ' .. pause.reason or '')
  redis.call('HSET', run, 'phase', 'paused', 'reason', reason, 'updated_us', integer_text(now_us))
  append_events(run_id, {notice_event('run.paused', reason)})
  append_audit(run_id, 'run.paused', pause.by, cjson.encode({reason = pause.reason, requested_at = pause.at}))
end

-- Queues a paused run. It keeps its rank: it is due when it was before.
local function queue_paused_run(run_id, thread_id, reason)
  local run = key('run', run_id)
  redis.call('HDEL', run, 'operator_pause')
  redis.call('HSET', run, 'phase', 'queued', 'reason', reason, 'updated_us', integer_text(now_us))
  local is_first = redis.call('ZRANGE', key('thread_queue', thread_id), 0, 0)[1] == run_id
  if is_first and not redis.call('HGET', key('thread', thread_id), 'active_run_id') then enqueue_next_run(thread_id) end
end
