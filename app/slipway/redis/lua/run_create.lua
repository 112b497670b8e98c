--! needs: cancel cancel_causes clock crons events groups keys leases phases queue runs threads waiting_runs
--! repeatable: yes
--! shard: thread
-- Accept a run: the record, its first event, its place in the thread's queue, its job, the thread's status.
-- Returns {'new', run fields}, also to a repetition of the very call by which `inline_worker` has taken the run;
-- {'known', run fields} for a run that exists otherwise, so that a repetition changes nothing;
-- {'no_thread'} also for one whose metadata is not that of `only`, or that was made for another run alone, {'taken'} when
-- the thread that was to be made for this run exists, {'changed'} when the thread's fields are no longer as they were
-- `seen`, {'busy', run id}, {'answered', run id, kwargs} when another run has answered the interrupt, {'fired'} when the
-- run of a cron's due time was made already, or {'leftovers'} when those of a removed thread must go before the thread is
-- made.
local args = cmsgpack.unpack(ARGV[2])
local run, thread = key('run', args.run_id), key('thread', args.thread_id)

local exists = redis.call('EXISTS', thread) == 1

-- Whoever may not have the thread gets no run of it either, not even the one that the same request made before.
if exists then
  for field, value in pairs(args.only) do
    if redis.call('HGET', thread, 'm:' .. field) ~= value then return {'no_thread'} end
  end
end

if redis.call('EXISTS', run) == 1 then
  -- Its maker executes a run itself: when the first answer was lost, nobody has begun with it yet.
  local held = redis.call('HMGET', run, 'worker', 'inline_request')
  local repeated = args.inline_worker and held[1] == args.inline_worker and held[2] == args.inline_request
  return {repeated and 'new' or 'known', redis.call('HGETALL', run)}
end

-- A cron's run is made by whoever moves the cron on from this due time, in the same moment.
if args.cron and not has_due_time(args.cron) then return {'fired'} end

for field, value in pairs(args.seen) do
  if redis.call('HGET', thread, field) ~= value then return {'changed'} end
end

if not exists then
  if not args.create_thread then return {'no_thread'} end
  if has_leftovers(args.thread_id) then return {'leftovers'} end
  redis.call('HSET', thread, 'created_us', integer_text(now_us), 'state_us', integer_text(now_us), 'status', 'idle')
  if args.temporary then redis.call('HSET', thread, 'temporary', 1) else set_ttl(args.thread_id, args.ttl) end
  for field, value in pairs(args.thread_metadata) do redis.call('HSET', thread, 'm:' .. field, value) end
elseif args.own_thread then
  return {'taken'}
elseif redis.call('HEXISTS', thread, 'temporary') == 1 then
  return {'no_thread'} -- a thread that was made for a single run takes no other
end

local active = redis.call('HGET', thread, 'active')
local queued = redis.call('ZRANGE', key('thread_queue', args.thread_id), 0, -1)
local refuses = args.multitask == 'reject' or not args.may_cancel and args.multitask ~= 'enqueue'
if (active or #queued > 0) and refuses then return {'busy', active or queued[1]} end

-- An interrupt is answered once. It may be answered anew when the run that took the answer ended and left it open, or
-- failed before the answer reached the graph.
local answered_by, reopened = redis.call('HGET', thread, 'answered_by'), nil
if args.answers and answered_by and not redis.call('HGET', thread, 'waiting') then
  local other = redis.call('HMGET', key('run', answered_by), 'phase', 'kwargs', 'unheard')
  local under_way = is_in_progress(other[1])
  local left_open = other[3] or redis.call('HGET', thread, 'rest_status') == 'interrupted'
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
redis.call('DEL', key('events', args.run_id)) -- of a removed run whose idempotency key is used again
redis.call('HSET', run, 'run_id', args.run_id, 'thread_id', args.thread_id, 'assistant_id', args.assistant_id,
  'graph_id', args.graph_id, 'kwargs', args.kwargs, 'multitask', args.multitask, 'phase', 'queued', 'attempt', 0,
  'handovers', 0, 'max_attempts', args.max_attempts, 'ceilings', args.ceilings, 'created_us', integer_text(created_us),
  'updated_us', integer_text(now_us), 'due_ms', integer_text(now_ms + args.after_ms), 'chain', args.run_id, 'usage', '{}',
  'continues', args.continues and 1 or 0, 'priority_ms', args.priority_ms)
if args.webhook then redis.call('HSET', run, 'webhook', 'pending') end
if args.webhook == 'internal_deliveries' then redis.call('HSET', run, 'webhook_queue', args.webhook) end
if args.kept_s then redis.call('HSET', run, 'kept_s', args.kept_s) end
if args.user then redis.call('HSET', run, 'user', args.user, 'permitted_us', integer_text(now_us)) end
if args.changed_by then redis.call('HSET', run, 'changed_by', args.changed_by, 'permitted_us', integer_text(now_us)) end
if #args.groups > 0 then redis.call('HSET', run, 'groups', cjson.encode(args.groups)) end
for field, value in pairs(args.assistant_metadata) do redis.call('HSET', run, 'm:' .. field, value) end
local held = redis.call('HGETALL', thread)
for i = 1, #held, 2 do
  if string.sub(held[i], 1, 2) == 'm:' then redis.call('HSET', run, held[i], held[i + 1]) end
end
for field, value in pairs(args.metadata) do redis.call('HSET', run, 'm:' .. field, value) end
redis.call('HSET', run, 'm:graph_id', args.graph_id_json, 'm:assistant_id', args.assistant_id_json)

if redis.call('HGET', thread, 'status') ~= 'busy' then
  redis.call('HSET', thread, 'rest_status', redis.call('HGET', thread, 'status') or 'idle')
end
redis.call('HSET', thread, 'status', 'busy', 'm:graph_id', args.graph_id_json, 'm:assistant_id', args.assistant_id_json)
for field, value in pairs(args.thread_config) do redis.call('HSET', thread, 'c:' .. field, value) end
redis.call('ZADD', key('thread_runs', args.thread_id), integer_text(created_us), args.run_id)
redis.call('ZADD', key('thread_queue', args.thread_id), integer_text(created_us), args.run_id)

if not args.answers then redis.call('HDEL', thread, 'answered_by') end
local continued = not active and complete_waiting_run(args.thread_id, args.run_id, args.continues) or reopened
if continued and args.answers then redis.call('HSET', thread, 'answered_by', args.run_id) end
if continued then inherit_chain(continued, args.run_id) end
append_events(args.run_id, {metadata_event(args.run_id, 1)})

local first = not active and redis.call('ZRANGE', key('thread_queue', args.thread_id), 0, 0)[1] == args.run_id
if first and args.inline_worker and args.after_ms == 0 and not group_at_limit(args.run_id) then
  acquire_lease(args.run_id, args.thread_id, args.inline_worker, args.lease_ms)
  redis.call('HSET', run, 'inline_request', args.inline_request)
elseif first then
  redis.call('HSET', run, 'reason', args.after_ms > 0 and 'delay' or 'queue')
  enqueue(args.run_id, 1, now_ms + args.after_ms)
else
  redis.call('HSET', run, 'reason', 'earlier run of the thread')
end
set_updated(args.thread_id)
if args.cron then set_next_due_time(args.cron.cron_id, args.cron.next_ms, args.run_id) end
return {'new', redis.call('HGETALL', run)}
