--! needs: audit budgets fencing keys metering reviews switches tool_calls
--! repeatable: yes
--! shard: thread
-- Begins a call of a tool, before the tool is executed: whether it may be executed now, with everything that must be
-- true at that moment.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: see `tool_gateway.scripts.CallBegin`.
-- Reply: {'go', how often the call began before, count of questions about it}; {'done', its result, count of
--   questions}: the call has ended, and must not be executed again; {'rule'}: the rule must be evaluated; {'ask', name
--   of the policy, 1 if people have decided about the call before, else 0}: people must approve it first; {'off', the
--   switch}: the tool is switched off; {'ready'}: it may begin, and `peek` asked only for that; {'budget', position of
--   the entry without room, what its field has}; {'cancel', action}; {'fenced'}.
-- Atomic: Everything that is checked, the usage of the chain, all budgets, the record of the call, the audit entry.
-- Repeatable: Yes: a repetition changes nothing in the record of a call, and appends a second audit entry at most.

local args = cmsgpack.unpack(ARGV[2])
local owned = owned_run(args.run_id, args.attempt, args.incarnation)
if not owned then return {'fenced'} end
if owned.cancel then return {'cancel', owned.cancel} end
local record, result = call_record(owned.thread_id, args)
if record.state == 'done' then return {'done', result or '', record.questions or 0} end
local off = switched_off('tool', nil, args.tool)
if off then return {'off', off} end
local approval
if args.recorded then
  local asked = record.asked and record.asked[args.hash]
  if not asked then
    if args.rule == 'predicate' then return {'rule'} end
    if args.rule == 'ask' then
      asked = {quorum = args.quorum, policy = args.policy}
      record.asked = record.asked or {}
      record.asked[args.hash] = asked
    end
  end
  if asked then
    approval = approved_call(owned.thread_id, args.call, args.hash, asked.quorum)
    if not approval then
      if not asked.posed then
        asked.posed = true
        record.questions = (record.questions or 0) + 1
        store_call(owned.thread_id, args, record)
      end
      return {'ask', asked.policy, redis.call('HEXISTS', key('thread_approvals', owned.thread_id), args.call)}
    end
  end
end
if args.peek then return {'ready'} end
if args.budgets and metered_revision(redis.call('HGET', key('run', args.run_id), 'metered'))
    < metered_revision(args.metered) then
  local position, used = reserve_in_budgets(args.budgets)
  if position then return {'budget', position, used} end
end
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
return {'go', before, record.questions or 0}
