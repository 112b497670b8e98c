-- Look at a page of ids of one kind for what no script leaves behind, and mend it when asked to. A page is looked at
-- and mended in one moment, so what is seen is true, and work in progress is never in the way.
-- Returns a list of {problem, id}.
local A = cmsgpack.unpack(ARGV[2])
local found = {}

-- Notes a problem. Returns whether it is to be mended.
local function wrong(problem, id)
  found[#found + 1] = {problem, id}
  if A.repair then redis.call('HINCRBY', key('repairs'), problem, 1) end
  return A.repair
end

local function phase_of(run_id)
  return redis.call('HGET', key('run', run_id), 'phase')
end

local function has_job(run_id)
  local job = run_id .. ':' .. (redis.call('HGET', key('run', run_id), 'attempt') + 1)
  for _, place in ipairs({'queue', 'suspects', 'later'}) do
    if redis.call('ZSCORE', key(place), job) then return true end
  end
  for _, pair in ipairs(groups_of(run_id)) do
    if redis.call('ZSCORE', key('parked', pair[1]), job) then return true end
  end
  return false
end

local function head_of(thread_id)
  return redis.call('ZRANGE', key('thread_queue', thread_id), 0, 0)[1]
end

local look = {}

-- A job of one of the queues: its run waits for exactly this attempt.
function look.job(job)
  local run_id, attempt = string.match(job, '^(.*):(%d+)$')
  if not redis.call('ZSCORE', A.place, job) then return end
  local held = run_id and redis.call('HMGET', key('run', run_id), 'phase', 'attempt')
  if not held or held[1] ~= 'queued' or held[2] + 1 ~= tonumber(attempt) then
    if wrong('job_without_run', job) then redis.call('ZREM', A.place, job) end
  elseif A.parked and redis.call('EXISTS', key('queue'), key('suspects')) == 0 and not full_group(run_id) then
    -- with an empty queue nobody is on the way to the free place
    if wrong('parked_though_there_is_room', job) then
      redis.call('ZREM', A.place, job)
      rank(run_id, job, now_ms)
      wake()
    end
  end
end

-- A lease: its run is running.
function look.lease(run_id)
  if not redis.call('ZSCORE', key('leases'), run_id) or phase_of(run_id) == 'running' then return end
  if wrong('lease_of_run_that_is_over', run_id) then give_up_lease(run_id) end
end

-- A place of a group that has a limit: its run is running.
function look.place(run_id)
  if redis.call('SISMEMBER', key('group', A.place), run_id) == 0 or phase_of(run_id) == 'running' then return end
  if wrong('place_of_run_that_is_over', run_id) then leave_group(A.place, run_id) end
end

-- A thread: who is active is running, who waits is queued, the first of them has a job, and busy means one of these.
function look.thread(thread_id)
  local thread, queue = key('thread', thread_id), key('thread_queue', thread_id)
  local held = redis.call('HMGET', thread, 'status', 'active', 'waiting')
  if not held[1] then return end
  for _, run_id in ipairs(redis.call('ZRANGE', queue, 0, 99)) do
    if phase_of(run_id) ~= 'queued' and wrong('waiting_run_is_not_queued', run_id) then
      redis.call('ZREM', queue, run_id)
    end
  end
  if held[3] and phase_of(held[3]) ~= 'waiting_for_approval' and wrong('waits_for_run_that_is_over', thread_id) then
    redis.call('HDEL', thread, 'waiting')
  end
  local head, active = head_of(thread_id), held[2]
  if active then
    local phase = phase_of(active)
    if phase ~= 'running' and wrong('active_run_is_over', thread_id) then
      local ends = {completed = 'idle', failed = 'error', waiting_for_approval = 'interrupted'}
      rest(thread_id, ends[phase])
    end
  elseif not head then
    if held[1] == 'busy' and wrong('busy_without_run', thread_id) then rest(thread_id) end
  elseif phase_of(head) == 'queued' and not has_job(head) then
    if wrong('queued_without_job', head) then promote(thread_id) end
  end
end

local function look_at_queued(run_id, thread_id)
  local queue = key('thread_queue', thread_id)
  if redis.call('ZSCORE', queue, run_id) or redis.call('EXISTS', key('thread', thread_id)) == 0 then return end
  if not wrong('queued_without_place', run_id) then return end
  redis.call('ZADD', queue, redis.call('HGET', key('run', run_id), 'created_us'), run_id)
  redis.call('HSET', key('thread', thread_id), 'status', 'busy')
  if not redis.call('HGET', key('thread', thread_id), 'active') and head_of(thread_id) == run_id then
    promote(thread_id)
  end
end

-- A living worker renews the lease that it gets here; a dead one's ends, and the reaper takes the run back as ever.
local function look_at_running(run_id)
  if redis.call('ZSCORE', key('leases'), run_id) or not wrong('running_without_lease', run_id) then return end
  redis.call('ZADD', key('leases'), whole(now_ms + A.lease_ms), run_id)
end

-- A resting thread whose run waits for a person shows that: it is interrupted. One that has no open question rests as
-- it says, and nobody waits.
local function look_at_question(run_id, thread, status, interrupts)
  if status == 'interrupted' or status == 'busy' or not wrong('waiting_run_not_shown', run_id) then return end
  if interrupts and interrupts ~= '{}' then
    redis.call('HSET', thread, 'status', 'interrupted', 'rest_status', 'interrupted')
  else
    redis.call('HDEL', thread, 'waiting')
    abandon(run_id, 'the thread asks nothing')
  end
end

-- The thread of a run that waits for a person names it, unless a later run has begun: then nobody will answer it.
local function look_at_waiting(run_id, thread_id)
  local thread = key('thread', thread_id)
  local held = redis.call('HMGET', thread, 'status', 'waiting', 'interrupts')
  if held[2] == run_id then return look_at_question(run_id, thread, held[1], held[3]) end
  if not held[1] or not wrong('waiting_run_not_named', run_id) then return end
  local newest = redis.call('ZREVRANGE', key('thread_runs', thread_id), 0, 0)[1]
  local superseded = newest and newest ~= run_id and redis.call('HGET', key('run', newest), 'attempt') ~= '0'
  if held[2] or superseded then
    abandon(run_id, 'the thread went on without an answer')
    return
  end
  redis.call('HSET', thread, 'waiting', run_id, 'rest_status', 'interrupted')
  if held[1] ~= 'busy' then redis.call('HSET', thread, 'status', 'interrupted') end
end

function look.run(run_id)
  local held = redis.call('HMGET', key('run', run_id), 'phase', 'thread_id')
  if held[1] == 'queued' then look_at_queued(run_id, held[2]) end
  if held[1] == 'running' then look_at_running(run_id) end
  if held[1] == 'waiting_for_approval' then look_at_waiting(run_id, held[2]) end
end

for _, id in ipairs(A.ids) do look[A.kind](id) end
return found
