-- End an attempt's run: phase, error, result, the thread's state, the last events, the lease, the next run's job.
-- ARGV: prefix, arguments, then the attempt's last commands as length and words.
-- Returns {'ok'}, {'fenced'}, or {'cancel', action} when a cancel was asked for and this is not its answer.
local A = cmsgpack.unpack(ARGV[2])
local run = key('run', A.run_id)
local held = held_by(A.run_id, A.attempt, A.incarnation)
if not held then
  local ended = redis.call('HMGET', run, 'settled_by', 'created_us')
  return {ended[1] == tostring(A.attempt) and ended[2] == A.incarnation and 'ok' or 'fenced'}
end
if held.cancel and A.phase ~= 'cancelled' then return {'cancel', held.cancel} end

local new = is_next(held, A.seq)
if new == nil then return {'fenced'} end
if new then run_commands(3, #ARGV) end
local entries = A.entries
entries[#entries + 1] = end_entry(A.run_id, A.status, A.result, A.phase)
redis.call('HSET', run, 'phase', A.phase, 'reason', A.reason, 'usage', A.usage, 'settled_by', A.attempt,
  'updated_us', whole(now_us), 'ended_us', whole(now_us))
if A.error then
  redis.call('HSET', run, 'error', A.error)
  -- nothing was stored, not even what the run was given
  if held.seq == 0 and #ARGV == 2 and A.attempt == 1 then redis.call('HSET', run, 'unheard', 1) end
end
redis.call('HDEL', run, 'suspect', 'died')
give_up_lease(A.run_id)
append(A.run_id, entries)
redis.call('EXPIRE', key('events', A.run_id), A.event_ttl_s)

local thread = key('thread', held.thread_id)
if A.values then redis.call('HSET', thread, 'values', A.values, 'state_us', whole(now_us)) end
if A.interrupts then redis.call('HSET', thread, 'interrupts', A.interrupts) end
local thread_error = A.phase == 'cancelled' and cancelled_error(run) or A.thread_error
if thread_error then redis.call('HSET', thread, 'error', thread_error) end
if A.phase == 'waiting_for_approval' then redis.call('HSET', thread, 'waiting', A.run_id) end
notify(A.run_id, held.thread_id, A.rollback and 'rollback' or A.status, A.values, A.interrupts,
  A.thread_error)
if A.rollback then drop_run(A.run_id, held.thread_id) end
rest(held.thread_id, A.thread_status)
return {'ok'}
