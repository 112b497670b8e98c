--! needs: after_run audit cancel keys phases
--! repeatable: yes
--! shard: thread
-- Cancels a run: at once if it never started, otherwise by an instruction to the attempt that executes it, or to the
-- next one, which is due at once.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `run_id`, `thread_id`, `action` ('interrupt' or 'rollback'), `cause` (a
--   sentence), `reason` (the client's text or nil), `event_ttl_s`, `by` (the operator, or nil).
-- Reply: {'ok'}; {'repeated'} if an earlier request had the same action; {'missing'}; {'final'} if the run ended.
-- Atomic: Run, job, end event, delivery, audit trail, and the thread's next run.
-- Repeatable: Yes: the first request for an action sets the cause.

local args = cmsgpack.unpack(ARGV[2])
local run = key('run', args.run_id)
local fields = redis.call('HMGET', run, 'phase', 'thread_id', 'attempt', 'cancel_action')
if not fields[1] or fields[2] ~= args.thread_id then return {'missing'} end
if not is_in_progress(fields[1]) then return {'final'} end
-- the first write must not need memory: a full Redis rejects a script if its first write does
redis.call('ZREM', key('leases'), '')
local repeated = fields[4] == args.action
if args.by and not repeated then
  append_audit(args.run_id, 'run.cancelled', args.by, cjson.encode({action = args.action, reason = args.reason}))
end
if fields[3] == '0' then
  cancel_queued_run(args.run_id, args.thread_id, args.action, args.cause, args.reason, args.event_ttl_s)
  if not redis.call('HGET', key('thread', args.thread_id), 'active_run_id') then
    start_next_run_or_idle(args.thread_id)
  end
else
  request_cancel(args.run_id, args.action, args.cause, args.reason)
end
return {repeated and 'repeated' or 'ok'}
