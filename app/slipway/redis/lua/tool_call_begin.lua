--! needs: audit fencing metering reviews switches tool_calls
--! repeatable: yes
--! shard: thread
-- Begins a call of a tool, before the tool is executed: whether it may be executed now, with everything that must be
-- true at that moment.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: see `tool_gateway.scripts.CallBegin`.
-- Reply: {'go', how often the call began before}; {'done', its result, count of questions that its tool asked}: the
--   call has ended, and must not be executed again; {'rule'}: the rule must be evaluated; {'ask', name of the policy}:
--   people must approve it first; {'decided', decision as JSON}: they have edited or rejected it; {'off', the switch}:
--   the tool is switched off; {'ready'}: it may begin, and `peek` asked only for that; {'cancel', action}; {'fenced'}.
-- Atomic: Everything that is checked, the usage of the chain, the record of the call, the audit entry.
-- Repeatable: Yes: a repetition changes nothing in the record of a call, and appends a second audit entry at most.

local args = cmsgpack.unpack(ARGV[2])
local owned = owned_run(args.run_id, args.attempt, args.incarnation)
if not owned then return {'fenced'} end
if owned.cancel then return {'cancel', owned.cancel} end
local record, result = call_record(owned.thread_id, args)
if record.state == 'done' then
  local questions = 0
  for _ in pairs(record.questions or {}) do questions = questions + 1 end
  return {'done', result or '', questions}
end
local off = switched_off('tool', nil, args.tool)
if off then return {'off', off} end
local approval
if args.recorded then
  if record.asked and record.fingerprint and record.fingerprint ~= args.fingerprint then
    forget_approval(owned.thread_id, args.call)
    record.fingerprint = args.fingerprint
    store_call(owned.thread_id, args, record)
  end
  local asked = record.asked and record.asked[args.hash]
  if not asked then
    if args.rule == 'predicate' then return {'rule'} end
    if args.rule == 'ask' then
      asked = {quorum = args.quorum, policy = args.policy, restricted = args.restricted}
      record.asked = record.asked or {}
      record.asked[args.hash] = asked
      record.fingerprint = record.fingerprint or args.fingerprint
      store_call(owned.thread_id, args, record)
    end
  end
  if asked then
    local decision = decision_about(owned.thread_id, args.call, args.hash)
    if decision then return {'decided', decision} end
    approval = call_approval(owned.thread_id, args.call, args.hash)
    local edited = approval and approval.edited_hash and record.asked[approval.edited_hash]
    if edited and asked.restricted and edited.policy ~= asked.policy then
      forget_editor(owned.thread_id, args.call, approval)
    end
    if not approval or approval.count < asked.quorum then return {'ask', asked.policy} end
  end
end
if args.peek then return {'ready'} end
if args.metered then store_metered(args.run_id, args.metered) end
local before = record.begun or 0
if args.recorded and record.token ~= args.token then
  record.state, record.begun, record.token = 'begun', before + 1, args.token
  store_call(owned.thread_id, args, record)
end
append_audit(args.run_id, 'tool.permitted', 'slipway', args.audit)
if approval then
  append_audit(args.run_id, 'tool.approved', table.concat(approval.by, ', '), cjson.encode({call = args.call,
    hash = args.hash, tool = args.tool, review_id = approval.review_id, edited_by = approval.edited_by}))
end
return {'go', before}
