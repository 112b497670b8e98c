--! needs: audit concurrency_groups keys pauses phases worker_messages
--! repeatable: yes
--! shard: thread
-- Pauses a run for an operator: at once if it waits, otherwise by an instruction to the attempt that executes it, which
-- stops before its next superstep. A run that is paused by something else stays paused until the operator resumes it.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `run_id`, `pause` (JSON: see `runs/operator_pause.py`).
-- Reply: {'ok', phase}; {'unchanged', phase} if an operator had paused it before; {'missing'}; {'final', phase} if the
--   run ended; {'cancelled'} if it is to be cancelled.
-- Atomic: Run, job, event and audit trail; a run that executes gets event and entry when its attempt has stopped.
-- Repeatable: Yes: the first request sets who paused it, and why.

local args = cmsgpack.unpack(ARGV[2])
local run = key('run', args.run_id)
local phase, operator_pause, cancel_action, worker = unpack(redis.call('HMGET', run, 'phase', 'operator_pause',
  'cancel_action', 'worker'))
if not phase then return {'missing'} end
if not is_in_progress(phase) then return {'final', phase} end
if cancel_action then return {'cancelled'} end
if operator_pause then return {'unchanged', phase} end
redis.call('HSET', run, 'operator_pause', args.pause)
if phase == 'running' then
  send_to_worker(worker, args.run_id, 'pause')
  return {'ok', phase}
end
if phase == 'queued' then delete_job(args.run_id) end
local pause = operator_pause_of(args.pause)
if phase == 'paused' then
  append_audit(args.run_id, 'run.paused', pause.actor, cjson.encode(pause.details))
else
  set_paused(args.run_id, pause)
end
return {'ok', 'paused'}
