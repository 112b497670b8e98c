--! needs: after_run audit cancel keys phases reviews waiting_runs webhook_events
--! repeatable: yes
--! shard: thread
-- Cancels a run: at once if it never started, otherwise by an instruction to the attempt that executes it, or to the
-- next one, which is due at once. An operator, and a review that nobody decided in time, also cancel a run that waits
-- for approval.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `run_id`, `thread_id`, `action` ('interrupt' or 'rollback'), `cause` (a
--   sentence), `reason` (the client's text or nil), `event_ttl_s`, `by` (the operator, or nil), `overdue`
--   (the review whose due time has come, or nil: if it was decided, the run counts as ended).
-- Reply: {'ok'}; {'repeated'} if an earlier request had the same action; {'missing'}; {'final'} if the run ended.
-- Atomic: Run, job, end event, delivery, audit trail, and the thread's next run.
-- Repeatable: Yes: the first request for an action sets the cause.

local args = cmsgpack.unpack(ARGV[2])
local run = key('run', args.run_id)
local fields = redis.call('HMGET', run, 'phase', 'thread_id', 'attempt', 'cancel_action')
if not fields[1] or fields[2] ~= args.thread_id then return {'missing'} end
local waits = fields[1] == 'waiting_for_approval' and args.action == 'interrupt'
  and (args.by or args.overdue and is_overdue(args.overdue))
if not is_in_progress(fields[1]) and not waits then return {'final'} end
-- the first write must not need memory: a full Redis rejects a script if its first write does
redis.call('ZREM', key('leases'), '')
local repeated = fields[4] == args.action
if args.by and not repeated then
  append_audit(args.run_id, 'run.cancelled', args.by, cjson.encode({action = args.action, reason = args.reason}))
end
if waits then
  if args.overdue then emit_review('due', args.overdue) end
  cancel_waiting_run(args.run_id, args.thread_id, args.cause, args.reason)
elseif fields[3] == '0' then
  cancel_queued_run(args.run_id, args.thread_id, args.action, args.cause, args.reason, args.event_ttl_s)
  if not redis.call('HGET', key('thread', args.thread_id), 'active_run_id') then
    start_next_run_or_idle(args.thread_id)
  end
else
  request_cancel(args.run_id, args.action, args.cause, args.reason)
end
return {repeated and 'repeated' or 'ok'}
