--! needs: audit fencing keys tool_calls
--! repeatable: yes
--! shard: thread
-- Ends a call of a tool: its result, so that a repetition of the superstep does not execute it again, and the audit
-- entry.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: see `tool_gateway.scripts.CallEnd`; the result in its stored form, or ''.
-- Reply: {'ok'}; {'fenced'}.
-- Atomic: All of it.
-- Repeatable: Yes, but for a second audit entry.

local args = cmsgpack.unpack(ARGV[2])
local owned = owned_run(args.run_id, args.attempt, args.incarnation)
if not owned then return {'fenced'} end
if args.recorded then
  local record = call_record(owned.thread_id, args)
  record.state = args.state
  for _, id in ipairs(args.questions) do
    record.questions = record.questions or {}
    record.questions[id] = true
  end
  store_call(owned.thread_id, args, record)
  if args.state == 'done' then
    redis.call('HSET', key('thread_calls', owned.thread_id), args.call .. ':result', ARGV[3])
  end
end
append_audit(args.run_id, args.action, 'slipway', args.audit)
return {'ok'}
