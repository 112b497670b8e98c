--! needs: audit clock events keys metrics queue run_indexes webhook_events
--! rare: operator_pause_of pause_of queue_paused_run set_paused switch_pause
-- Paused runs. A paused run has no lease and no job. It stays in the queue of its thread, so that later runs of the
-- thread wait behind it. What pauses a run is a table: `reason` (a sentence), `actor` and `details` for the audit
-- trail, and `operator` (true), or `switch`, the key of the switch before which it stopped; or, if its attempt has
-- paused it itself, `held` (JSON, why) and perhaps `error` (JSON, of what its retries were used up by).

local function notice_event(code, message)
  return {'notice', sse_frame('notice', cjson.encode({code = code, message = message})), ''}
end

-- `stored` is the field `operator_pause`.
local function operator_pause_of(stored)
  local pause = cjson.decode(stored)
  return {operator = true, reason = 'paused by ' .. pause.by .. (pause.reason and ': ' .. pause.reason or ''),
    actor = pause.by, details = {reason = pause.reason, requested_at = pause.at}}
end

-- `stored` is the switch of this key.
local function switch_pause(switch, stored)
  local off = cjson.decode(stored)
  local reason = off.reason ~= cjson.null and off.reason or nil
  return {reason = off.pause_reason, actor = off.by, switch = switch, details = {switch = switch, reason = reason}}
end

-- What pauses a run that is to be queued; nil if nothing does. `switch` is the switch before which its attempt has
-- stopped, and `own` is the pause for which it has stopped itself, or nil. A run that is to be cancelled does not
-- pause, because only its next attempt can end it.
local function pause_of(run_id, switch, own)
  local fields = redis.call('HMGET', key('run', run_id), 'operator_pause', 'cancel_action')
  if fields[2] then return nil end
  if fields[1] then return operator_pause_of(fields[1]) end
  local stored = switch and redis.call('HGET', key('switches'), switch)
  return stored and switch_pause(switch, stored) or own
end

-- Pauses a run that has neither a lease nor a job any more.
local function set_paused(run_id, pause)
  local run = key('run', run_id)
  leave_queued(run_id)
  redis.call('ZADD', key('paused_runs'), integer_text(now_ms), run_id)
  redis.call('HSET', run, 'phase', 'paused', 'reason', pause.reason, 'updated_us', integer_text(now_us))
  if pause.switch then
    redis.call('HSET', run, 'switch', pause.switch)
    redis.call('ZADD', key('switch_runs', pause.switch), redis.call('HGET', run, 'created_us'), run_id)
  end
  if pause.held then redis.call('HSET', run, 'held', pause.held) end
  if pause.error then redis.call('HSET', run, 'error', pause.error) end
  if pause.held and not pause.error then redis.call('ZADD', key('held_runs'), integer_text(now_ms), run_id) end
  append_events(run_id, {notice_event('run.paused', pause.reason)})
  append_audit(run_id, 'run.paused', pause.actor, cjson.encode(pause.details))
  emit_phase(run_id, 'paused')
end

-- Queues a paused run. It keeps its rank: it is due when it was before. If its retries were used up, all attempts
-- before do not count any more.
local function queue_paused_run(run_id, thread_id, reason)
  local run = key('run', run_id)
  local switch, held, error, attempt, graph_id, version, priority_ms = unpack(redis.call('HMGET', run, 'switch', 'held',
    'error', 'attempt', 'graph_id', 'version', 'priority_ms'))
  unindex_paused(run_id, switch)
  if held then redis.call('ZREM', key('held_runs'), run_id) end
  if error then redis.call('HSET', run, 'uncounted_attempts', attempt) end
  redis.call('HDEL', run, 'operator_pause', 'switch', 'held', 'error')
  redis.call('HSET', run, 'phase', 'queued', 'reason', reason, 'updated_us', integer_text(now_us), 'queued_as',
    enter_queued(run_id, graph_id, version, priority_ms, now_us) or '')
  emit_phase(run_id, 'queued')
  local is_first = redis.call('ZRANGE', key('thread_queue', thread_id), 0, 0)[1] == run_id
  if is_first and not redis.call('HGET', key('thread', thread_id), 'active_run_id') then enqueue_next_run(thread_id) end
end
