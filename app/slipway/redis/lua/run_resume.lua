--! needs: audit events keys pauses phases
--! repeatable: yes
--! shard: thread
-- Ends the pause of a run by an operator: the run is queued. If its attempt has not stopped yet, it will be released to
-- the queue. A run that is also paused before a switch stays paused until the switch is on.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `run_id`, `by` (the operator), `reason` (of
--   the operator, or nil).
-- Reply: {'ok', phase}; {'unchanged', phase} if the run is not paused; {'missing'}; {'final', phase} if the run ended;
--   {'off', stored} if only this switch pauses it.
-- Atomic: Run, job, event and audit trail.
-- Repeatable: Yes: a run that is not paused stays as it is.

local args = cmsgpack.unpack(ARGV[2])
local run = key('run', args.run_id)
local phase, thread_id, operator_pause, switch = unpack(redis.call('HMGET', run, 'phase', 'thread_id',
  'operator_pause', 'switch'))
if not phase then return {'missing'} end
if not is_in_progress(phase) then return {'final', phase} end
if phase ~= 'paused' and not operator_pause then return {'unchanged', phase} end
local off = phase == 'paused' and switch and redis.call('HGET', key('switches'), switch)
if off and not operator_pause then return {'off', off} end
append_audit(args.run_id, 'run.resumed', args.by, cjson.encode({reason = args.reason}))
if phase ~= 'paused' or off then
  redis.call('HDEL', run, 'operator_pause')
  return {'ok', phase}
end
local reason = 'resumed by ' .. args.by .. (args.reason and ': ' .. args.reason or '')
queue_paused_run(args.run_id, thread_id, reason)
append_events(args.run_id, {notice_event('run.resumed', reason)})
return {'ok', 'queued'}
