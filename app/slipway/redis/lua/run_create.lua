-- Accept a run: the record, its first event, its place in the thread's queue, its job, the thread's status.
-- Returns {'new', run fields}, also to a repetition of the very call by which `inline_worker` has taken the run;
-- {'known', run fields} for a run that exists otherwise, so that a repetition changes nothing;
-- {'no_thread'} also for one whose metadata is not that of `only`, or that was made for another run alone, {'taken'} when
-- the thread that was to be made for this run exists, {'changed'} when the thread's fields are no longer as they were
-- `seen`, {'busy', run id}, {'answered', run id, kwargs} when another run has answered the interrupt, {'fired'} when the
-- run of a cron's due time was made already, or {'leftovers'} when those of a removed thread must go before the thread is
-- made.
local A = cmsgpack.unpack(ARGV[2])
local run, thread = key('run', A.run_id), key('thread', A.thread_id)

local exists = redis.call('EXISTS', thread) == 1

-- Whoever may not have the thread gets no run of it either, not even the one that the same request made before.
if exists then
  for field, value in pairs(A.only) do
    if redis.call('HGET', thread, 'm:' .. field) ~= value then return {'no_thread'} end
  end
end

if redis.call('EXISTS', run) == 1 then
  -- Its maker executes a run itself: when the first answer was lost, nobody has begun with it yet.
  local held = redis.call('HMGET', run, 'worker', 'inline_request')
  local repeated = A.inline_worker and held[1] == A.inline_worker and held[2] == A.inline_request
  return {repeated and 'new' or 'known', redis.call('HGETALL', run)}
end

-- A cron's run is made by whoever moves the cron on from this due time, in the same moment.
if A.cron and not is_due(A.cron) then return {'fired'} end

for field, value in pairs(A.seen) do
  if redis.call('HGET', thread, field) ~= value then return {'changed'} end
end

if not exists then
  if not A.create_thread then return {'no_thread'} end
  if has_leftovers(A.thread_id) then return {'leftovers'} end
  redis.call('HSET', thread, 'created_us', whole(now_us), 'state_us', whole(now_us), 'status', 'idle')
  if A.temporary then redis.call('HSET', thread, 'temporary', 1) else set_ttl(A.thread_id, A.ttl) end
  for field, value in pairs(A.thread_metadata) do redis.call('HSET', thread, 'm:' .. field, value) end
elseif A.own_thread then
  return {'taken'}
elseif redis.call('HEXISTS', thread, 'temporary') == 1 then
  return {'no_thread'} -- a thread that was made for a single run takes no other
end

local active = redis.call('HGET', thread, 'active')
local queued = redis.call('ZRANGE', key('thread_queue', A.thread_id), 0, -1)
local refuses = A.multitask == 'reject' or not A.may_cancel and A.multitask ~= 'enqueue'
if (active or #queued > 0) and refuses then return {'busy', active or queued[1]} end

-- An interrupt is answered once. It may be answered anew when the run that took the answer ended and left it open, or
-- failed before the answer reached the graph.
local answered_by, reopened = redis.call('HGET', thread, 'answered_by'), nil
if A.answers and answered_by and not redis.call('HGET', thread, 'waiting') then
  local other = redis.call('HMGET', key('run', answered_by), 'phase', 'kwargs', 'unheard')
  local under_way = other[1] == 'queued' or other[1] == 'running' or other[1] == 'paused'
  local left_open = other[3] or redis.call('HGET', thread, 'rest_status') == 'interrupted'
  if under_way or not left_open then return {'answered', answered_by, other[2] or '{}'} end
  reopened = answered_by
end

if A.multitask == 'interrupt' or A.multitask == 'rollback' then
  local cause = superseded_by(A.run_id, A.multitask)
  for _, earlier in ipairs(queued) do
    if redis.call('HGET', key('run', earlier), 'attempt') == '0' then
      cancel_waiting(earlier, A.thread_id, A.multitask, cause, nil, A.event_ttl_s)
    else
      ask_to_cancel(earlier, A.multitask, cause)
    end
  end
  if active then ask_to_cancel(active, A.multitask, cause) end
end

local created_us = now_us + A.after_ms * 1000
redis.call('DEL', key('events', A.run_id)) -- of a removed run whose idempotency key is used again
redis.call('HSET', run, 'run_id', A.run_id, 'thread_id', A.thread_id, 'assistant_id', A.assistant_id,
  'graph_id', A.graph_id, 'kwargs', A.kwargs, 'multitask', A.multitask, 'phase', 'queued', 'attempt', 0,
  'handovers', 0, 'max_attempts', A.max_attempts, 'ceilings', A.ceilings, 'created_us', whole(created_us),
  'updated_us', whole(now_us), 'due_ms', whole(now_ms + A.after_ms), 'chain', A.run_id, 'usage', '{}',
  'continues', A.continues and 1 or 0, 'priority_ms', A.priority_ms)
if A.webhook then redis.call('HSET', run, 'webhook', 'pending') end
if A.webhook == 'own_deliveries' then redis.call('HSET', run, 'webhook_queue', A.webhook) end
if A.kept_s then redis.call('HSET', run, 'kept_s', A.kept_s) end
if A.user then redis.call('HSET', run, 'user', A.user, 'permitted_us', whole(now_us)) end
if A.changed_by then redis.call('HSET', run, 'changed_by', A.changed_by, 'permitted_us', whole(now_us)) end
if #A.groups > 0 then redis.call('HSET', run, 'groups', cjson.encode(A.groups)) end
for field, value in pairs(A.assistant_metadata) do redis.call('HSET', run, 'm:' .. field, value) end
local held = redis.call('HGETALL', thread)
for i = 1, #held, 2 do
  if string.sub(held[i], 1, 2) == 'm:' then redis.call('HSET', run, held[i], held[i + 1]) end
end
for field, value in pairs(A.metadata) do redis.call('HSET', run, 'm:' .. field, value) end
redis.call('HSET', run, 'm:graph_id', A.graph_id_json, 'm:assistant_id', A.assistant_id_json)

if redis.call('HGET', thread, 'status') ~= 'busy' then
  redis.call('HSET', thread, 'rest_status', redis.call('HGET', thread, 'status') or 'idle')
end
redis.call('HSET', thread, 'status', 'busy', 'm:graph_id', A.graph_id_json, 'm:assistant_id', A.assistant_id_json)
for field, value in pairs(A.thread_config) do redis.call('HSET', thread, 'c:' .. field, value) end
redis.call('ZADD', key('thread_runs', A.thread_id), whole(created_us), A.run_id)
redis.call('ZADD', key('thread_queue', A.thread_id), whole(created_us), A.run_id)

if not A.answers then redis.call('HDEL', thread, 'answered_by') end
local continued = not active and resolve_waiting(A.thread_id, A.run_id, A.continues) or reopened
if continued and A.answers then redis.call('HSET', thread, 'answered_by', A.run_id) end
if continued then carry_chain(continued, A.run_id) end
append(A.run_id, {metadata_entry(A.run_id, 1)})

local first = not active and redis.call('ZRANGE', key('thread_queue', A.thread_id), 0, 0)[1] == A.run_id
if first and A.inline_worker and A.after_ms == 0 and not full_group(A.run_id) then
  take(A.run_id, A.thread_id, A.inline_worker, A.lease_ms)
  redis.call('HSET', run, 'inline_request', A.inline_request)
elseif first then
  redis.call('HSET', run, 'reason', A.after_ms > 0 and 'delay' or 'queue')
  enqueue(A.run_id, 1, now_ms + A.after_ms)
else
  redis.call('HSET', run, 'reason', 'earlier run of the thread')
end
touch(A.thread_id)
if A.cron then move_cron(A.cron.cron_id, A.cron.next_ms, A.run_id) end
return {'new', redis.call('HGETALL', run)}
