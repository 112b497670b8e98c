--! needs: audit events keys pauses phases versions
--! repeatable: yes
--! shard: thread
-- Ends the pause of a run by an operator: the run is queued. If its attempt has not stopped yet, it will be released to
-- the queue. A run that is also paused before a switch stays paused until the switch is on.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `run_id`, `by` (the operator), `reason` (of the operator, or nil), `action`
--   (for the audit trail), `details` (JSON, likewise), `skip` (list of ids of tasks that are skipped, or nil), `edit`
--   (digest of an edit of the state that was stored before, or nil), `version` (the only version of its graph on which
--   it continues, or nil).
-- Reply: {'ok', phase}; {'version', graph} if no process has ever served this version; {'unchanged', phase} if the run
--   is not paused; {'missing'}; {'final', phase} if the run ended; {'off', stored} if only this switch pauses it.
-- Atomic: Run, job, event and audit trail.
-- Repeatable: Yes: a run that is not paused stays as it is.

local args = cmsgpack.unpack(ARGV[2])
local run = key('run', args.run_id)
local phase, thread_id, operator_pause, switch, skipped, graph_id = unpack(redis.call('HMGET', run, 'phase',
  'thread_id', 'operator_pause', 'switch', 'skipped_tasks', 'graph_id'))
if not phase then return {'missing'} end
if not is_in_progress(phase) then return {'final', phase} end
if args.version and not version_record(graph_id, args.version).number then return {'version', graph_id} end
local only_paused = args.skip or args.edit or args.version or not operator_pause
if phase ~= 'paused' and only_paused then return {'unchanged', phase} end

-- A task that is skipped, and a state that was changed, need not stop before the same switch again.
local stays = phase == 'paused' and switch and not args.skip and not args.edit
local off = stays and redis.call('HGET', key('switches'), switch)
if off and not operator_pause then return {'off', off} end
append_audit(args.run_id, args.action, args.by, args.details)
if phase ~= 'paused' or off then
  redis.call('HDEL', run, 'operator_pause')
  return {'ok', phase}
end
if args.skip then
  local tasks = skipped and cjson.decode(skipped) or {}
  for _, task in ipairs(args.skip) do tasks[#tasks + 1] = task end
  redis.call('HSET', run, 'skipped_tasks', cjson.encode(tasks))
end
if args.edit then redis.call('HSET', run, 'edit', args.edit) end
if args.version then redis.call('HSET', run, 'version', args.version, 'version_fixed', 1) end
local reason = 'resumed by ' .. args.by .. (args.reason and ': ' .. args.reason or '')
queue_paused_run(args.run_id, thread_id, reason)
append_events(args.run_id, {notice_event('run.resumed', reason)})
return {'ok', 'queued'}
