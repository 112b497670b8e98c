--! needs: cancel_causes clock keys metrics reviews run_indexes threads webhook_events
--! rare: abandon_waiting_run cancel_waiting_run complete_waiting_run rejects_answer
-- The waiting run of a thread: the run whose interrupt the thread shows.

-- Completes a run that will not be answered.
local function abandon_waiting_run(run_id, why)
  local run = key('run', run_id)
  redis.call('HSET', run, 'phase', 'completed', 'updated_us', integer_text(now_us), 'reason', 'abandoned: ' .. why)
  local fields = redis.call('HMGET', run, 'created_us', 'reviews')
  index_phase(run_id, fields[1], 'waiting_for_approval', 'completed')
  count_idle_run_end(run_id, 'completed')
  emit_phase(run_id, 'completed', {status = 'success'})
  if fields[2] then end_reviews(run_id, fields[2], why) end
end

-- Completes the waiting run of a thread, because `next_run` starts. Returns its id if that run answers it, else nil.
-- `answers` are those of that run that were checked: see `runs.review_arguments.CheckedAnswers`; nil for none.
local function complete_waiting_run(thread_id, next_run, answered, answers)
  local thread = key('thread', thread_id)
  local waiting = redis.call('HGET', thread, 'waiting_run_id')
  if not waiting then return nil end
  redis.call('HDEL', thread, 'waiting_run_id')
  local run = key('run', waiting)
  local fields = redis.call('HMGET', run, 'phase', 'created_us', 'reviews')
  if fields[1] ~= 'waiting_for_approval' then return nil end
  redis.call('HSET', run, 'phase', 'completed', 'resumed_by', next_run, 'updated_us', integer_text(now_us),
    'reason', answered and 'answered' or 'abandoned: the thread continued without an answer')
  index_phase(waiting, fields[2], 'waiting_for_approval', 'completed')
  count_idle_run_end(waiting, 'completed')
  emit_phase(waiting, 'completed', {status = 'success'})
  if fields[3] then
    local why = answered and 'the thread continued with run ' or 'the thread continued without an answer, with run '
    end_reviews(waiting, fields[3], why .. next_run, next_run, answers and answers.held, answers and answers.answers)
  end
  return answered and waiting or nil
end

-- Cancels a run that is claimed, if its answer was sent before the waiting run had asked, and so was checked against no
-- policy, but a question is guarded: its policy restricts who may answer, or it is about a call of a tool. The question
-- stays open. Returns whether it did.
local function rejects_answer(waiting, next_run)
  local run = key('run', next_run)
  if redis.call('HGET', key('run', waiting), 'guarded') ~= '1' or not redis.call('HGET', run, 'answers') then
    return false
  end
  redis.call('HSET', run, 'cancel_action', 'interrupt')
  set_cancel_cause(run, 'it answered a question before it was asked, and the question is about a call of a tool, or '
    .. 'its review policy restricts who may answer it: decide the reviews of run ' .. waiting)
  return true
end

-- Cancels a run that waits for approval. Nobody can answer its interrupt any more, until a run without an answer
-- follows.
local function cancel_waiting_run(run_id, thread_id, cause, reason)
  local run, thread = key('run', run_id), key('thread', thread_id)
  redis.call('HSET', run, 'phase', 'cancelled', 'reason', '', 'cancel_action', 'interrupt',
    'cancelled_while_waiting', 1, 'updated_us', integer_text(now_us))
  set_cancel_cause(run, cause, reason)
  local fields = redis.call('HMGET', run, 'created_us', 'reviews')
  index_phase(run_id, fields[1], 'waiting_for_approval', 'cancelled')
  count_idle_run_end(run_id, 'cancelled')
  emit_phase(run_id, 'cancelled', {status = 'interrupted'})
  if redis.call('HGET', thread, 'waiting_run_id') == run_id then
    redis.call('HDEL', thread, 'waiting_run_id')
    redis.call('HSET', thread, 'answered_by_run_id', run_id)
  end
  redis.call('DEL', key('thread_approvals', thread_id))
  if fields[2] then end_reviews(run_id, fields[2], 'the run was cancelled: ' .. cause) end
  notify_thread(thread_id)
end
