--! needs: admission clock concurrency_groups events jobs keys leases pauses queue runs switches waiting_runs
--! repeatable: no
--! shard: thread
-- Gives a worker due runs, each with a lease. A job is removed if its run was deleted, ended, or must wait for another
-- run of its thread, which queues it again. A job of a concurrency group without a free slot is parked until a run of
-- the group ends. A run whose graph is switched off is paused. Of the crash suspects of each dead worker, only as many
-- are claimed as have a free slot; one that several workers died with is claimed without others of its last crash, or
-- as the only suspect. Near the high-water mark of memory, a run whose first attempt would not fit stays queued; later
-- attempts are always claimed.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `worker`, `limit`, `lease_ms`, `suspect_slots` (map of dead worker to free
--   slots for its suspects), `suspects` (the free slots for those of each dead worker that it does not name),
--   `alone_from` (crashes from which a suspect is claimed as the only suspect), `alone` (whether the worker may claim
--   such a one), `again_ms` (when to claim again if suspects, or runs that do not fit, wait), `mark` (the high-water
--   mark; nil if memory is not to be checked).
-- Reply: {ms until the next job is due ('' if none waits), 'near' if memory is near the mark else '', fields of a run,
--   ...}.
-- Atomic: For each run: job, slots, lease, the thread's status, and the waiting run that it answers; or its pause.
-- Repeatable: No: a repetition claims other runs.

local args = cmsgpack.unpack(ARGV[2])
local startable = args.mark and startable_bytes(args.mark) or nil
local expected = startable and expected_by_graph()
local reply = {'', startable and 'near' or ''}
local remaining = args.limit
local BATCH = 200
local SUSPECTS_READ = 100

-- Most claims find neither delayed jobs nor crash suspects, and nothing is switched off. Then none of it is read.
local others_wait = redis.call('EXISTS', key('later_queue'), key('suspect_queue'), key('switches')) > 0
local anything_off = others_wait and redis.call('EXISTS', key('switches')) == 1
local queue_may_have_more = true

local function queue_jobs_that_became_due()
  local due = redis.call('ZRANGEBYSCORE', key('later_queue'), '-inf', now_ms, 'WITHSCORES', 'LIMIT', 0, BATCH)
  for i = 1, #due, 2 do
    redis.call('ZREM', key('later_queue'), due[i])
    add_to_queue((split_job(due[i])), due[i], due[i + 1])
  end
end

-- A job that does not start offers its free slots to the next parked jobs.
local function offer_concurrency_slots(groups)
  for _, pair in ipairs(groups) do
    if redis.call('SCARD', key('group_runs', pair[1])) < pair[2] then
      requeue_parked_job(pair[1])
      others_wait, queue_may_have_more = true, true
    end
  end
end

-- Whether the run must wait until memory is free. One run may always execute.
local function waits_for_memory(job)
  local run_id, attempt = split_job(job)
  if not startable or attempt ~= '1' then return false end
  local graph_id = redis.call('HGET', key('run', run_id), 'graph_id')
  if not graph_id then return false end -- the run was deleted
  local bytes = expected[graph_id] or UNKNOWN_RUN_BYTES
  if bytes > startable and (startable <= 0 or redis.call('ZCARD', key('leases')) > 0) then
    redis.call('HSET', key('run', run_id), 'reason', 'memory pressure')
    return true
  end
  startable = startable - bytes
  return false
end

-- What pauses the runs of a graph: its switch, or the one of everything; nil if both are on.
local function graph_pause(graph_id)
  if not anything_off then return nil end
  for _, switch in ipairs({switch_key('all'), switch_key('graph', nil, graph_id)}) do
    local stored = redis.call('HGET', key('switches'), switch)
    if stored then return switch_pause(switch, stored) end
  end
end

local function claim(job, score)
  local run_id = split_job(job)
  local run = key('run', run_id)
  local phase, thread_id, announces, continues, cancel_action, groups, attempt, started_us, ordinal, crashes, graph_id =
    unpack(redis.call('HMGET', run, 'phase', 'thread_id', 'announce_attempt', 'continues', 'cancel_action', 'groups',
      'attempt', 'started_us', 'ordinal', 'crashes', 'graph_id'))
  groups = decoded_groups(groups)
  if phase ~= 'queued' then
    offer_concurrency_slots(groups)
    return false
  end
  local active, waiting, status, started_runs, thread_error = unpack(redis.call('HMGET', key('thread', thread_id),
    'active_run_id', 'waiting_run_id', 'status', 'started_runs', 'error'))
  if active or redis.call('ZRANGE', key('thread_queue', thread_id), 0, 0)[1] ~= run_id then
    offer_concurrency_slots(groups)
    return false
  end
  local pause = not cancel_action and graph_pause(graph_id)
  if pause then
    set_paused(run_id, pause)
    offer_concurrency_slots(groups)
    return false
  end
  local full = not cancel_action and concurrency_group_at_limit(groups) -- a cancelled run executes no node
  if full then
    redis.call('ZADD', key('parked_queue', full), score, job)
    redis.call('HSET', run, 'reason', 'limit of ' .. full)
    offer_concurrency_slots(groups)
    return false
  end
  local rejected = waiting and continues == '1' and rejects_answer(waiting, run_id)
  local continued = waiting and not rejected and complete_waiting_run(thread_id, run_id, continues == '1')
  if continued then inherit_chain(continued, run_id) end
  attempt = acquire_lease(run_id, thread_id, args.worker, args.lease_ms, {attempt = attempt, started_us = started_us,
    ordinal = ordinal, crashes = crashes, groups = groups, status = status, started_runs = started_runs,
    error = thread_error})
  if announces == '1' then append_events(run_id, {metadata_event(run_id, attempt)}) end
  reply[#reply + 1] = redis.call('HGETALL', run)
  return true
end

-- Claims the first suspects, unless enough other jobs rank before them. No suspect overtakes one that must be alone.
local function claim_suspects()
  local slots, claimed_of, alone = args.suspect_slots, {}, args.alone
  local jobs = redis.call('ZRANGE', key('suspect_queue'), 0, SUSPECTS_READ - 1, 'WITHSCORES')
  for i = 1, #jobs, 2 do
    local job, score = jobs[i], jobs[i + 1]
    local fields = redis.call('HMGET', key('run', (split_job(job))), 'crashes', 'crashed_worker')
    local crashes, crash = tonumber(fields[1]) or 0, fields[2] or ''
    local free = slots[crash] or args.suspects
    if crashes >= args.alone_from and not alone then return end
    if free > 0 and not (crashes > 1 and claimed_of[crash]) then
      if redis.call('ZCOUNT', key('queue'), '-inf', '(' .. score) >= remaining then return end
      redis.call('ZREM', key('suspect_queue'), job)
      if claim(job, score) then
        remaining = remaining - 1
        if remaining == 0 or crashes >= args.alone_from then return end
        slots[crash], claimed_of[crash], alone = crashes > 1 and 0 or free - 1, true, false
      end
    end
  end
end

if others_wait then
  queue_jobs_that_became_due()
  claim_suspects()
end
local read_jobs, held = 0, {}
while remaining > 0 and read_jobs < BATCH and queue_may_have_more do
  local jobs = redis.call('ZPOPMIN', key('queue'), remaining)
  queue_may_have_more = #jobs == 2 * remaining
  for i = 1, #jobs, 2 do
    read_jobs = read_jobs + 1
    if waits_for_memory(jobs[i]) then
      held[#held + 1], held[#held + 2] = jobs[i + 1], jobs[i]
    elseif claim(jobs[i], jobs[i + 1]) then
      remaining = remaining - 1
    end
  end
end
if #held > 0 then redis.call('ZADD', key('queue'), unpack(held)) end
if startable then redis.call('HSET', key('memory'), 'startable', integer_text(startable)) end

if #held > 0 then
  redis.call('DEL', key('worker_wake'))
  reply[1] = integer_text(args.again_ms)
  return reply
end
if queue_may_have_more and redis.call('ZCARD', key('queue')) > 0 then
  reply[1] = '0'
  return reply
end
redis.call('DEL', key('worker_wake'))
if others_wait then
  local first = redis.call('ZRANGE', key('later_queue'), 0, 0, 'WITHSCORES')
  local wait_ms = #first > 0 and math.max(first[2] - now_ms, 0) or nil
  if redis.call('EXISTS', key('suspect_queue')) == 1 then
    wait_ms = math.min(wait_ms or args.again_ms, args.again_ms)
  end
  if wait_ms then reply[1] = integer_text(wait_ms) end
end
return reply
