--! needs: audit fencing tool_calls
--! repeatable: yes
--! shard: thread
-- Begins a call of a tool, before the tool is executed: whether it may be executed now, with everything that must be
-- true at that moment.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: see `tool_gateway.scripts.CallBegin`.
-- Reply: {'go', how often the call began before}; {'done', its result, whether it was asked about}: the call has ended,
--   and must not be executed again; {'rule'}: call again with `needs_approval`; {'ask'}: people must approve it first;
--   {'cancel', action}; {'fenced'}.
-- Atomic: Everything that is checked, the record of the call, and the audit entry.
-- Repeatable: Yes: a repetition changes nothing in the record of a call, and appends a second audit entry at most.

local args = cmsgpack.unpack(ARGV[2])
local owned = owned_run(args.run_id, args.attempt, args.incarnation)
if not owned then return {'fenced'} end
if owned.cancel then return {'cancel', owned.cancel} end
local record, result = call_record(owned.thread_id, args)
if record.state == 'done' then return {'done', result or '', record.asked and 1 or 0} end
if args.recorded then
  if not record.asked and args.rule == 'predicate' then return {'rule'} end
  if record.asked or args.rule == 'ask' then
    record.asked = true
    store_call(owned.thread_id, args, record)
    return {'ask'}
  end
end
local before = record.begun or 0
if args.recorded and record.token ~= args.token then
  record.state, record.begun, record.token = 'begun', before + 1, args.token
  store_call(owned.thread_id, args, record)
end
append_audit(args.run_id, 'tool.permitted', 'slipway', args.audit)
return {'go', before}
