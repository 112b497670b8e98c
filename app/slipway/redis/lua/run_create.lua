--! needs: admission cancel cancel_causes clock concurrency_groups due_times events hashes inline_executions keys leases metrics pending_counts phases pins queue retries reviews rollouts run_indexes runs threads versions waiting_runs webhook_events
--! repeatable: yes
--! shard: thread
-- Creates a run: record, first event, entry in the thread's queue, job or lease, thread record.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: see `runs.scripts.RunCreate`; the field `kwargs`; with `inline_worker`, a
--   MessagePack map of what that process serves (`lib/versions.lua`).
-- Reply: {'created', fields without those that were sent, credit}, also if this very request has created the run and
--   `inline_worker` holds it; those of an inline run whose thread must be moved end with `pinned_version` and
--   `pinned_schema`, as in the reply of a claim; `credit`, if there is a `mark`: the bytes that the process may store
--   before it asks again; {'exists', fields} for a run that existed; an error `OVERLOADED` if memory has no room;
--   {'no_thread'} also if the thread lacks the `required_metadata`, or is the temporary thread of another run;
--   {'thread_exists'} if the thread was to be created; {'changed'} if a field of the thread differs from
--   `expected_fields`; {'busy', run id}; {'answered', run id, kwargs} if another run has answered the interrupt;
--   {'unchecked'} if the thread waits with reviews other than the `checked` ones, or they have changed; {'cancelled',
--   run id} if the run that asked was cancelled; {'due_time_handled', the cron's next due time in ms or ''} if the run
--   of a cron's due time was created already, without the next due time if the cron no longer has this due time;
--   {'leftovers'} if checkpoints of a deleted thread must be deleted before the thread is created; {'budget'} if
--   nothing else is against the run, but a budget has no room (`no_room`); for a `retry`, what `retry_problem` replies.
--   The classes in `runs.script_results` are the same replies in Python.
-- Atomic: All of it, the cancelling of earlier runs, and that the due time is handled.
-- Repeatable: Yes: a run that exists is returned, or that its due time was handled, and nothing changes.

local args = cmsgpack.unpack(ARGV[2])
local run, thread, log = key('run', args.run_id), key('thread', args.thread_id), key('events', args.run_id)
local after_ms = args.after_ms or 0

local due_time = args.due_time
local handled = due_time and handled_reply(due_time)
if handled then return handled end

local thread_created_us, status, active, waiting, answered_by, idle_status, temporary, pinned_graph, pinned, schema =
  unpack(redis.call('HMGET', thread, 'created_us', 'status', 'active_run_id', 'waiting_run_id', 'answered_by_run_id',
    'idle_status', 'temporary', 'version_graph', 'version', 'schema'))
pinned, schema = pin_for(args.expected_graph_id, pinned_graph, pinned, schema)
local exists = thread_created_us ~= false

-- The thread of a cron may have been deleted, and created again with the same id.
if due_time and due_time.thread_created_us and thread_created_us ~= due_time.thread_created_us then
  return {'no_thread'}
end

-- A user who is not authorized for the thread does not receive the run that an earlier request created on it either.
if exists then
  for field, value in pairs(args.required_metadata or {}) do
    if redis.call('HGET', thread, 'm:' .. field) ~= value then return {'no_thread'} end
  end
end

-- A deleted run with the same id, by an idempotency key, may have left its log.
local run_or_log_exists = redis.call('EXISTS', run, log) > 0
if run_or_log_exists and redis.call('EXISTS', run) == 1 then
  -- If the reply to the first call was lost, the web process that claimed the run has not started it yet.
  local fields = redis.call('HMGET', run, 'worker', 'inline_request')
  local repeated = args.inline_worker and fields[1] == args.inline_worker and fields[2] == args.inline_request
  return {repeated and 'created' or 'exists', redis.call('HGETALL', run)}
end

for field, value in pairs(args.expected_fields or {}) do
  if redis.call('HGET', thread, field) ~= value then return {'changed'} end
end

local credit
if args.mark then
  local rejected
  rejected, credit = admit(args.mark, args.sharing, 2 * (#ARGV[2] + #ARGV[3]), args.expected_graph_id)
  if rejected then return rejected end
end

if not exists then
  if not args.create_thread then return {'no_thread'} end
  if has_leftovers(args.thread_id) then return {'leftovers'} end
elseif args.own_thread then
  return {'thread_exists'}
elseif temporary then
  return {'no_thread'} -- a temporary thread belongs to one run
end

local cancels = args.multitask == 'interrupt' or args.multitask == 'rollback'
local queued = exists and redis.call('ZRANGE', key('thread_queue', args.thread_id), 0, cancels and -1 or 0) or {}
if args.retry then
  local problem = retry_problem(args.retry, args.thread_id, active or queued[1])
  if problem then return problem end
end
local rejects = args.multitask == 'reject' or not args.may_cancel and args.multitask ~= 'enqueue'
if (active or #queued > 0) and rejects then return {'busy', active or queued[1]} end

-- An interrupt is answered once. It can be answered again if the run with the first answer ended and left the interrupt
-- open, or failed before the answer reached the graph. A retry has the answers of the run that it retries, which the
-- graph has not taken yet.
local reopened = nil
if args.answers and answered_by and not waiting and not args.retry then
  local other = redis.call('HMGET', key('run', answered_by), 'phase', 'kwargs', 'input_not_stored',
    'cancelled_while_waiting')
  if other[4] then return {'cancelled', answered_by} end
  local under_way = is_in_progress(other[1])
  local left_open = other[3] or idle_status == 'interrupted'
  if under_way or not left_open then return {'answered', answered_by, other[2] or '{}'} end
  reopened = answered_by
end

local checked = args.checked
if waiting and not active and (args.answers or checked) then
  local reviews = redis.call('HGET', key('run', waiting), 'reviews')
  if reviews and not are_checked(waiting, reviews, checked) then return {'unchecked'} end
elseif checked and checked.held then
  return {'unchecked'} -- answers that were held for a run which waits no more
end

if args.no_room then return {'budget'} end

if cancels then
  local cause = superseded_cause(args.run_id, args.multitask)
  for _, earlier in ipairs(queued) do
    if redis.call('HGET', key('run', earlier), 'attempt') == '0' then
      cancel_queued_run(earlier, args.thread_id, args.multitask, cause, nil, args.event_ttl_s or 0)
    else
      request_cancel(earlier, args.multitask, cause)
    end
  end
  if active then request_cancel(active, args.multitask, cause) end
end

-- The members of the metadata of a thread, except those that every run sets.
local function thread_members()
  local members = {}
  for _, name in ipairs(redis.call('HKEYS', thread)) do
    if string.sub(name, 1, 2) == 'm:' and name ~= 'm:graph_id' and name ~= 'm:assistant_id' then
      members[#members + 1], members[#members + 2] = name, redis.call('HGET', thread, name)
    end
  end
  return members
end

-- The fields of the run, and of its thread, that say on which version it executes, if that is decided now.
local version_fields, pin = {}, {}
if args.version then
  local version = choose_version(args.expected_graph_id, args.version, pinned,
    {id = args.thread_id, active = active, open = active or #queued > 0 or waiting})
  if version then
    version_fields = {'version', version}
    if args.version.explicit then version_fields = {'version', version, 'version_fixed', '1'} end
    if not pinned then
      pinned, schema, pin = version, false, {'version', version, 'schema', '', 'version_graph', args.expected_graph_id}
      if args.version.ramping then count_new_thread(args.expected_graph_id, version) end
    end
  end
end

redis.call('ZADD', key('thread_runs', args.thread_id), now_us + after_ms * 1000, args.run_id)
redis.call('ZADD', key('thread_queue', args.thread_id), now_us + after_ms * 1000, args.run_id)
local first = not active
  and (#queued == 0 or redis.call('ZRANGE', key('thread_queue', args.thread_id), 0, 0)[1] == args.run_id)
local reason = first and (after_ms > 0 and 'delay' or 'queue') or 'earlier run of the thread'

local created_us, updated_us = integer_text(now_us + after_ms * 1000), integer_text(now_us)
local permitted_us = args.authorized and updated_us or '0'
local members = exists and thread_members() or args.thread_members or {}
local record = joined(joined(joined(args.fields, members), args.members or {}), version_fields)
local priority_ms, graph_id = args.priority_ms, args.expected_graph_id
local queued_as = queued_as_of(version_fields[2] or given(pinned), priority_ms, created_us)
if run_or_log_exists then redis.call('DEL', log) end
local last_event = append_to_log(args.run_id, {metadata_event(args.run_id, 1)}, false)
redis.call('HSET', run, 'kwargs', ARGV[3], 'phase', 'queued', 'reason', reason, 'attempt', 0,
  'created_us', created_us, 'updated_us', updated_us, 'last_event', last_event, 'queued_as',
  not args.inline_worker and queued_as or '', unpack(few_fields(run, record)))
if args.authorized then redis.call('HSET', run, 'permitted_us', permitted_us) end
index_run(args.run_id, created_us, args.terms)

if exists then
  redis.call('HSET', thread, 'idle_status', status ~= 'busy' and status or idle_status or 'idle',
    unpack(few_fields(thread, joined(args.thread_fields, pin))))
  replace_terms(args.thread_id, args.graph_members, args.graph_terms)
  set_updated(args.thread_id, 'busy')
else
  redis.call('HSET', thread, 'idle_status', 'idle', 'status', 'busy', 'created_us', now_us, 'state_us', now_us,
    'updated_us', now_us, 'terms', args.thread_terms,
    unpack(few_fields(thread, joined(joined(members, args.thread_fields), pin))))
  index_created(args.thread_id)
  index_updated(args.thread_id, false, 'busy', args.thread_terms, false)
  if args.temporary then redis.call('HSET', thread, 'temporary', 1) else set_ttl(args.thread_id, args.thread_ttl) end
end

if answered_by and not args.answers then redis.call('HDEL', thread, 'answered_by_run_id') end
local continued = waiting and not active and complete_waiting_run(args.thread_id, args.run_id, args.continues, checked)
  or reopened
if (continued or args.retry) and args.answers then redis.call('HSET', thread, 'answered_by_run_id', args.run_id) end
if continued then inherit_chain(continued, args.run_id) end
if args.retry then store_retry(args.retry, args.run_id) end

local may_execute = first and args.inline_worker and after_ms == 0
local groups = may_execute and concurrency_groups_of(args.run_id)
local execution = {version = version_fields[2], pinned = pinned, schema = schema}
if may_execute and ARGV[4] ~= '' then
  execution = inline_execution(ARGV[4], args.expected_graph_id,
    {version = version_fields[2], version_fixed = version_fields[4]}, {version = pinned, schema = schema})
end
local inline = may_execute and execution and not concurrency_group_at_limit(groups)
if inline then
  local fields = redis.call('HMGET', thread, 'started_runs', 'error')
  acquire_lease(args.run_id, args.thread_id, args.inline_worker, args.lease_ms,
    {attempt = 0, groups = groups, started_runs = fields[1], error = fields[2], execution = execution,
      graph_id = args.expected_graph_id, pinned_graph = pinned_graph})
  redis.call('HSET', run, 'inline_request', args.inline_request)
  count_claim(args.run_id, graph_id, priority_ms, redis.call('HGET', run, 'trace'))
elseif first then
  enqueue(args.run_id, 1, now_ms + after_ms, key('queue'), args.priority_ms)
end
if not inline then
  if args.inline_worker then redis.call('HSET', run, 'queued_as', queued_as or '') end
  emit_phase(args.run_id, 'queued')
end
store_counts(creation_items(args.run_id, graph_id, not inline and queued_as) or '')
if due_time then set_handled(due_time, due_time.next_ms and integer_text(due_time.next_ms) or '') end
if inline or continued or args.retry then
  local fields = redis.call('HGETALL', run)
  return {'created', inline and execution.moves and joined(fields, pinned_fields(pinned, schema)) or fields, credit}
end
return {'created', joined({'phase', 'queued', 'reason', reason, 'attempt', '0', 'created_us', created_us,
  'updated_us', updated_us, 'permitted_us', permitted_us}, joined(members, version_fields)), credit}
