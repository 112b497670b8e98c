--! needs: clock groups idle jobs keys leases queue waiting_runs
--! repeatable: yes
--! shard: thread
-- Look at a page of ids of one kind for what no script leaves behind, and mend it when asked to. A page is looked at
-- and mended in one moment, so what is seen is true, and work in progress is never in the way.
-- Returns a list of {problem, id}.
local args = cmsgpack.unpack(ARGV[2])
local found = {}

-- Notes a problem. Returns whether it is to be mended.
local function record_problem(problem, id)
  found[#found + 1] = {problem, id}
  if args.repair then redis.call('HINCRBY', key('repairs'), problem, 1) end
  return args.repair
end

local function phase_of(run_id)
  return redis.call('HGET', key('run', run_id), 'phase')
end

local function has_job(run_id)
  local job = job_name(run_id, redis.call('HGET', key('run', run_id), 'attempt') + 1)
  for _, place in ipairs({'queue', 'suspect_queue', 'later_queue'}) do
    if redis.call('ZSCORE', key(place), job) then return true end
  end
  for _, pair in ipairs(groups_of(run_id)) do
    if redis.call('ZSCORE', key('parked_queue', pair[1]), job) then return true end
  end
  return false
end

local function first_queued(thread_id)
  return redis.call('ZRANGE', key('thread_queue', thread_id), 0, 0)[1]
end

local check = {}

-- A job of one of the queues: its run waits for exactly this attempt.
function check.job(job)
  local run_id, attempt = split_job(job)
  if not redis.call('ZSCORE', args.place, job) then return end
  local held = run_id and redis.call('HMGET', key('run', run_id), 'phase', 'attempt')
  if not held or held[1] ~= 'queued' or held[2] + 1 ~= tonumber(attempt) then
    if record_problem('job_without_run', job) then redis.call('ZREM', args.place, job) end
  elseif args.parked and redis.call('EXISTS', key('queue'), key('suspect_queue')) == 0 and not group_at_limit(run_id) then
    -- with an empty queue nobody is on the way to the free place
    if record_problem('parked_though_there_is_room', job) then
      redis.call('ZREM', args.place, job)
      add_to_queue(run_id, job, now_ms)
      wake_worker()
    end
  end
end

-- A lease: its run is running.
function check.lease(run_id)
  if not redis.call('ZSCORE', key('leases'), run_id) or phase_of(run_id) == 'running' then return end
  if record_problem('lease_of_run_that_is_over', run_id) then release_lease(run_id) end
end

-- A place of a group that has a limit: its run is running.
function check.place(run_id)
  if redis.call('SISMEMBER', key('group_runs', args.place), run_id) == 0 or phase_of(run_id) == 'running' then return end
  if record_problem('place_of_run_that_is_over', run_id) then free_group_slot(args.place, run_id) end
end

-- A thread: who is active is running, who waits is queued, the first of them has a job, and busy means one of these.
function check.thread(thread_id)
  local thread, queue = key('thread', thread_id), key('thread_queue', thread_id)
  local held = redis.call('HMGET', thread, 'status', 'active_run_id', 'waiting_run_id')
  if not held[1] then return end
  for _, run_id in ipairs(redis.call('ZRANGE', queue, 0, 99)) do
    if phase_of(run_id) ~= 'queued' and record_problem('waiting_run_is_not_queued', run_id) then
      redis.call('ZREM', queue, run_id)
    end
  end
  if held[3] and phase_of(held[3]) ~= 'waiting_for_approval' and record_problem('waits_for_run_that_is_over', thread_id) then
    redis.call('HDEL', thread, 'waiting_run_id')
  end
  local head, active = first_queued(thread_id), held[2]
  if active then
    local phase = phase_of(active)
    if phase ~= 'running' and record_problem('active_run_is_over', thread_id) then
      local ends = {completed = 'idle', failed = 'error', waiting_for_approval = 'interrupted'}
      start_next_run_or_idle(thread_id, ends[phase])
    end
  elseif not head then
    if held[1] == 'busy' and record_problem('busy_without_run', thread_id) then start_next_run_or_idle(thread_id) end
  elseif phase_of(head) == 'queued' and not has_job(head) then
    if record_problem('queued_without_job', head) then enqueue_next_run(thread_id) end
  end
end

local function check_queued(run_id, thread_id)
  local queue = key('thread_queue', thread_id)
  if redis.call('ZSCORE', queue, run_id) or redis.call('EXISTS', key('thread', thread_id)) == 0 then return end
  if not record_problem('queued_without_place', run_id) then return end
  redis.call('ZADD', queue, redis.call('HGET', key('run', run_id), 'created_us'), run_id)
  redis.call('HSET', key('thread', thread_id), 'status', 'busy')
  if not redis.call('HGET', key('thread', thread_id), 'active_run_id') and first_queued(thread_id) == run_id then
    enqueue_next_run(thread_id)
  end
end

-- A living worker renews the lease that it gets here; a dead one's ends, and the reaper takes the run back as ever.
local function check_running(run_id)
  if redis.call('ZSCORE', key('leases'), run_id) or not record_problem('running_without_lease', run_id) then return end
  redis.call('ZADD', key('leases'), integer_text(now_ms + args.lease_ms), run_id)
end

-- A resting thread whose run waits for a person shows that: it is interrupted. One that has no open question rests as
-- it says, and nobody waits.
local function check_interrupts(run_id, thread, status, interrupts)
  if status == 'interrupted' or status == 'busy' or not record_problem('waiting_run_not_shown', run_id) then return end
  if interrupts and interrupts ~= '{}' then
    redis.call('HSET', thread, 'status', 'interrupted', 'idle_status', 'interrupted')
  else
    redis.call('HDEL', thread, 'waiting_run_id')
    abandon_waiting_run(run_id, 'the thread asks nothing')
  end
end

-- The thread of a run that waits for a person names it, unless a later run has begun: then nobody will answer it.
local function check_waiting(run_id, thread_id)
  local thread = key('thread', thread_id)
  local held = redis.call('HMGET', thread, 'status', 'waiting_run_id', 'interrupts')
  if held[2] == run_id then return check_interrupts(run_id, thread, held[1], held[3]) end
  if not held[1] or not record_problem('waiting_run_not_named', run_id) then return end
  local newest = redis.call('ZREVRANGE', key('thread_runs', thread_id), 0, 0)[1]
  local superseded = newest and newest ~= run_id and redis.call('HGET', key('run', newest), 'attempt') ~= '0'
  if held[2] or superseded then
    abandon_waiting_run(run_id, 'the thread went on without an answer')
    return
  end
  redis.call('HSET', thread, 'waiting_run_id', run_id, 'idle_status', 'interrupted')
  if held[1] ~= 'busy' then redis.call('HSET', thread, 'status', 'interrupted') end
end

function check.run(run_id)
  local held = redis.call('HMGET', key('run', run_id), 'phase', 'thread_id')
  if held[1] == 'queued' then check_queued(run_id, held[2]) end
  if held[1] == 'running' then check_running(run_id) end
  if held[1] == 'waiting_for_approval' then check_waiting(run_id, held[2]) end
end

for _, id in ipairs(args.ids) do check[args.kind](id) end
return found
