--! needs: cancel cancel_causes clock concurrency_groups due_times events keys leases phases queue run_indexes runs threads waiting_runs
--! repeatable: yes
--! shard: thread
-- Creates a run: record, first event, entry in the thread's queue, job or lease, thread record.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: see `runs.scripts.RunCreate`; the field `kwargs`.
-- Reply: {'created', fields}, also if this very request has created the run and `inline_worker` holds it; {'exists',
--   fields} for a run that existed; {'no_thread'} also if the thread lacks the `required_metadata`, or is the
--   temporary thread of another run; {'thread_exists'} if the thread was to be created; {'changed'} if a field of the
--   thread differs from `expected_fields`; {'busy', run id}; {'answered', run id, kwargs} if another run has answered
--   the interrupt; {'due_time_handled', the cron's next due time in ms or ''} if the run of a cron's due time was created
--   already, without the next due time if the cron no longer has this due time; {'leftovers'} if checkpoints of a
--   deleted thread must be deleted before the thread is created. The classes in `runs.script_results` are the same
--   replies in Python.
-- Atomic: All of it, the cancelling of earlier runs, and that the due time is handled.
-- Repeatable: Yes: a run that exists is returned, or that its due time was handled, and nothing changes.

local args = cmsgpack.unpack(ARGV[2])
local run, thread = key('run', args.run_id), key('thread', args.thread_id)

local due_time = args.due_time
local handled = due_time and handled_reply(due_time)
if handled then return handled end

local exists = redis.call('EXISTS', thread) == 1

-- The thread of a cron may have been deleted, and created again with the same id.
if due_time and due_time.thread_created_us
    and redis.call('HGET', thread, 'created_us') ~= due_time.thread_created_us then
  return {'no_thread'}
end

-- A user who is not authorized for the thread does not receive the run that an earlier request created on it either.
if exists then
  for field, value in pairs(args.required_metadata) do
    if redis.call('HGET', thread, 'm:' .. field) ~= value then return {'no_thread'} end
  end
end

if redis.call('EXISTS', run) == 1 then
  -- If the reply to the first call was lost, the web process that claimed the run has not started it yet.
  local fields = redis.call('HMGET', run, 'worker', 'inline_request')
  local repeated = args.inline_worker and fields[1] == args.inline_worker and fields[2] == args.inline_request
  return {repeated and 'created' or 'exists', redis.call('HGETALL', run)}
end

for field, value in pairs(args.expected_fields) do
  if redis.call('HGET', thread, field) ~= value then return {'changed'} end
end

if not exists then
  if not args.create_thread then return {'no_thread'} end
  if has_leftovers(args.thread_id) then return {'leftovers'} end
  redis.call('HSET', thread, 'status', 'idle')
  index_new_thread(args.thread_id, args.thread_terms)
  if args.temporary then redis.call('HSET', thread, 'temporary', 1) else set_ttl(args.thread_id, args.thread_ttl) end
  for field, value in pairs(args.thread_metadata) do redis.call('HSET', thread, 'm:' .. field, value) end
elseif args.own_thread then
  return {'thread_exists'}
elseif redis.call('HEXISTS', thread, 'temporary') == 1 then
  return {'no_thread'} -- a temporary thread belongs to one run
end

local active = redis.call('HGET', thread, 'active_run_id')
local queued = redis.call('ZRANGE', key('thread_queue', args.thread_id), 0, -1)
local rejects = args.multitask == 'reject' or not args.may_cancel and args.multitask ~= 'enqueue'
if (active or #queued > 0) and rejects then return {'busy', active or queued[1]} end

-- An interrupt is answered once. It can be answered again if the run with the first answer ended and left the interrupt
-- open, or failed before the answer reached the graph.
local answered_by, reopened = redis.call('HGET', thread, 'answered_by_run_id'), nil
if args.answers and answered_by and not redis.call('HGET', thread, 'waiting_run_id') then
  local other = redis.call('HMGET', key('run', answered_by), 'phase', 'kwargs', 'input_not_stored')
  local under_way = is_in_progress(other[1])
  local left_open = other[3] or redis.call('HGET', thread, 'idle_status') == 'interrupted'
  if under_way or not left_open then return {'answered', answered_by, other[2] or '{}'} end
  reopened = answered_by
end

if args.multitask == 'interrupt' or args.multitask == 'rollback' then
  local cause = superseded_cause(args.run_id, args.multitask)
  for _, earlier in ipairs(queued) do
    if redis.call('HGET', key('run', earlier), 'attempt') == '0' then
      cancel_queued_run(earlier, args.thread_id, args.multitask, cause, nil, args.event_ttl_s)
    else
      request_cancel(earlier, args.multitask, cause)
    end
  end
  if active then request_cancel(active, args.multitask, cause) end
end

local created_us = now_us + args.after_ms * 1000
redis.call('DEL', key('events', args.run_id)) -- the log of a deleted run with the same id, by an idempotency key
redis.call('HSET', run, 'kwargs', ARGV[3], unpack(args.fields))
redis.call('HSET', run, 'phase', 'queued', 'attempt', 0, 'uncounted_attempts', 0, 'chain_id', args.run_id, 'usage', '{}',
  'created_us', integer_text(created_us), 'updated_us', integer_text(now_us),
  'due_ms', integer_text(now_ms + args.after_ms))
if args.authorized then redis.call('HSET', run, 'permitted_us', integer_text(now_us)) end
for field, value in pairs(args.assistant_metadata) do redis.call('HSET', run, 'm:' .. field, value) end
local fields = redis.call('HGETALL', thread)
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 2) == 'm:' then redis.call('HSET', run, fields[i], fields[i + 1]) end
end
for field, value in pairs(args.metadata) do redis.call('HSET', run, 'm:' .. field, value) end
redis.call('HSET', run, 'm:graph_id', args.graph_id, 'm:assistant_id', args.assistant_id)

if redis.call('HGET', thread, 'status') ~= 'busy' then
  redis.call('HSET', thread, 'idle_status', redis.call('HGET', thread, 'status') or 'idle')
end
redis.call('HSET', thread, 'm:graph_id', args.graph_id, 'm:assistant_id', args.assistant_id)
if exists then replace_terms(args.thread_id, args.graph_members, args.graph_terms) end
for field, value in pairs(args.thread_config) do redis.call('HSET', thread, 'c:' .. field, value) end
redis.call('ZADD', key('thread_runs', args.thread_id), integer_text(created_us), args.run_id)
index_run(args.run_id, integer_text(created_us), args.terms)
redis.call('ZADD', key('thread_queue', args.thread_id), integer_text(created_us), args.run_id)

if not args.answers then redis.call('HDEL', thread, 'answered_by_run_id') end
local continued = not active and complete_waiting_run(args.thread_id, args.run_id, args.continues) or reopened
if continued and args.answers then redis.call('HSET', thread, 'answered_by_run_id', args.run_id) end
if continued then inherit_chain(continued, args.run_id) end
append_events(args.run_id, {metadata_event(args.run_id, 1)})

local first = not active and redis.call('ZRANGE', key('thread_queue', args.thread_id), 0, 0)[1] == args.run_id
if first and args.inline_worker and args.after_ms == 0 and not concurrency_group_at_limit(args.run_id) then
  acquire_lease(args.run_id, args.thread_id, args.inline_worker, args.lease_ms)
  redis.call('HSET', run, 'inline_request', args.inline_request)
elseif first then
  redis.call('HSET', run, 'reason', args.after_ms > 0 and 'delay' or 'queue')
  enqueue(args.run_id, 1, now_ms + args.after_ms)
else
  redis.call('HSET', run, 'reason', 'earlier run of the thread')
end
set_updated(args.thread_id, 'busy')
if due_time then set_handled(due_time, due_time.next_ms and integer_text(due_time.next_ms) or '') end
return {'created', redis.call('HGETALL', run)}
