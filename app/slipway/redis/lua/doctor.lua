--! needs: after_run clock concurrency_groups jobs keys leases metrics pauses pending_counts queue threads waiting_runs
--! repeatable: yes
--! shard: thread
-- Checks a page of ids of one kind for inconsistent records, and repairs them on request. All ids are checked and
-- repaired in one script, so that work in progress does not look like a problem.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `kind` ('job', 'lease', 'paused', 'queued', 'group_slot', 'thread'
--   or 'run'), `ids`,
--   `container` (the key of the queue, or the name of the concurrency group, that has these ids), `parked` (whether
--   that queue is the one of a concurrency group), `repair`, `lease_ms`, `encryption_mark` (the first byte of an
--   encrypted value, as a number), `encrypted_empty_bytes` (the size of an encrypted `{}`).
-- Reply: {problem, id} for each problem.
-- Atomic: Each repair, and its count.
-- Repeatable: Yes: a repaired problem is not found again.

local args = cmsgpack.unpack(ARGV[2])
local problems = {}
add_up_counts()

-- Records a problem. Returns whether to repair it.
local function record_problem(problem, id)
  problems[#problems + 1] = {problem, id}
  if args.repair then redis.call('HINCRBY', key('repairs'), problem, 1) end
  return args.repair
end

local function phase_of(run_id)
  return redis.call('HGET', key('run', run_id), 'phase')
end

local function has_job(run_id)
  local attempt, lane = unpack(redis.call('HMGET', key('run', run_id), 'attempt', 'lane'))
  local job = job_name(run_id, attempt + 1)
  for _, queue in ipairs({'queue', 'suspect_queue', 'later_queue'}) do
    if redis.call('ZSCORE', key(queue), job) then return true end
  end
  for _, pair in ipairs(concurrency_groups_of(run_id)) do
    if redis.call('ZSCORE', key('parked_queue', pair[1]), job) then return true end
  end
  -- a worker reads only the lanes that are listed
  return lane and redis.call('HEXISTS', key('version_lanes'), lane) == 1
    and redis.call('ZSCORE', key('version_queue', lane), job)
end

local function first_queued(thread_id)
  return redis.call('ZRANGE', key('thread_queue', thread_id), 0, 0)[1]
end

local check = {}

-- A queued run must be in the set of all of them, which metrics count. An earlier release has added none.
local function check_queued_as(run_id)
  if not counts_metrics() then return end
  local run = key('run', run_id)
  local queued_as, graph_id, version, priority_ms, created_us, due_ms = unpack(redis.call('HMGET', run, 'queued_as',
    'graph_id', 'version', 'priority_ms', 'created_us', 'due_ms'))
  if queued_as and is_in_queued(run_id, graph_id, queued_as) then return end
  if queued_as and not record_problem('queued_not_counted', run_id) or not args.repair then return end
  local since_us = due_ms and due_ms * 1000 or tonumber(created_us)
  redis.call('HSET', run, 'queued_as', enter_queued(run_id, graph_id, version, priority_ms, since_us))
end

-- A job in one of the queues: its run must be queued, and wait for this attempt.
function check.job(job)
  local run_id, attempt = split_job(job)
  if not redis.call('ZSCORE', args.container, job) then return end
  local fields = run_id and redis.call('HMGET', key('run', run_id), 'phase', 'attempt')
  if not fields or fields[1] ~= 'queued' or fields[2] + 1 ~= tonumber(attempt) then
    if record_problem('job_without_run', job) then redis.call('ZREM', args.container, job) end
  elseif args.parked and redis.call('EXISTS', key('queue'), key('suspect_queue')) == 0
      and not concurrency_group_at_limit(concurrency_groups_of(run_id)) then
    -- with empty queues, no job was moved from the parked ones to take the free slot
    if record_problem('parked_though_there_is_room', job) then
      redis.call('ZREM', args.container, job)
      add_to_queue(run_id, job, now_ms)
      wake_worker()
    end
  else
    check_queued_as(run_id)
  end
end

-- A lease: its run must be running.
function check.lease(run_id)
  if not redis.call('ZSCORE', key('leases'), run_id) or phase_of(run_id) == 'running' then return end
  if record_problem('lease_of_run_that_is_over', run_id) then release_lease(run_id) end
end

-- A slot of a concurrency group: its run must be running.
function check.group_slot(run_id)
  local has_slot = redis.call('SISMEMBER', key('group_runs', args.container), run_id) == 1
  if not has_slot or phase_of(run_id) == 'running' then return end
  if record_problem('place_of_run_that_is_over', run_id) then free_concurrency_slot(args.container, run_id) end
end

-- A thread: its active run must be running, the runs in its queue queued or paused, the first of them must have a job
-- if it is queued, and a busy thread must have one of these.
function check.thread(thread_id)
  local thread, queue = key('thread', thread_id), key('thread_queue', thread_id)
  local fields = redis.call('HMGET', thread, 'status', 'active_run_id', 'waiting_run_id')
  if not fields[1] then return end
  for _, run_id in ipairs(redis.call('ZRANGE', queue, 0, 99)) do
    local phase = phase_of(run_id)
    if phase ~= 'queued' and phase ~= 'paused' and record_problem('waiting_run_is_not_queued', run_id) then
      redis.call('ZREM', queue, run_id)
    end
  end
  if fields[3] and phase_of(fields[3]) ~= 'waiting_for_approval'
      and record_problem('waits_for_run_that_is_over', thread_id) then
    redis.call('HDEL', thread, 'waiting_run_id')
  end
  local head, active = first_queued(thread_id), fields[2]
  if active then
    local phase = phase_of(active)
    if phase ~= 'running' and record_problem('active_run_is_over', thread_id) then
      local ends = {completed = 'idle', failed = 'error', waiting_for_approval = 'interrupted'}
      start_next_run_or_idle(thread_id, ends[phase])
    end
  elseif not head then
    if fields[1] == 'busy' and record_problem('busy_without_run', thread_id) then start_next_run_or_idle(thread_id) end
  elseif phase_of(head) == 'queued' and not has_job(head) then
    if record_problem('queued_without_job', head) then enqueue_next_run(thread_id) end
  end
end

local function check_queued(run_id, thread_id)
  local queue = key('thread_queue', thread_id)
  if redis.call('ZSCORE', queue, run_id) or redis.call('EXISTS', key('thread', thread_id)) == 0 then return end
  if not record_problem('queued_without_place', run_id) then return end
  redis.call('ZADD', queue, redis.call('HGET', key('run', run_id), 'created_us'), run_id)
  set_status(thread_id, 'busy')
  if not redis.call('HGET', key('thread', thread_id), 'active_run_id') and first_queued(thread_id) == run_id then
    enqueue_next_run(thread_id)
  end
end

-- A live worker renews the lease that is created here. The lease of a dead worker expires, and the reaper reclaims it.
local function check_running(run_id)
  if redis.call('ZSCORE', key('leases'), run_id) or not record_problem('running_without_lease', run_id) then return end
  redis.call('ZADD', key('leases'), integer_text(now_ms + args.lease_ms), run_id)
end

-- Whether the interrupts of a thread name any, which may be encrypted. An encrypted value is longer than the plain one
-- by a fixed number of bytes, so only that of `{}` is so short.
local function has_interrupts(stored)
  if not stored or stored == '{}' then return false end
  return string.byte(stored) ~= args.encryption_mark or #stored > args.encrypted_empty_bytes
end

-- An idle thread whose run waits for approval must have the status `interrupted`. If it has no interrupts, nobody
-- can answer the run.
local function check_interrupts(run_id, thread_id, status, interrupts)
  if status == 'interrupted' or status == 'busy' or not record_problem('waiting_run_not_shown', run_id) then return end
  if has_interrupts(interrupts) then
    redis.call('HSET', key('thread', thread_id), 'idle_status', 'interrupted')
    set_status(thread_id, 'interrupted')
  else
    redis.call('HDEL', key('thread', thread_id), 'waiting_run_id')
    abandon_waiting_run(run_id, 'the thread has no open interrupt')
  end
end

-- The thread of a run that waits for approval must name the run, unless a later run has started: then it cannot be
-- answered any more.
local function check_waiting(run_id, thread_id)
  local thread = key('thread', thread_id)
  local fields = redis.call('HMGET', thread, 'status', 'waiting_run_id', 'interrupts')
  if fields[2] == run_id then return check_interrupts(run_id, thread_id, fields[1], fields[3]) end
  if not fields[1] or not record_problem('waiting_run_not_named', run_id) then return end
  local newest = redis.call('ZREVRANGE', key('thread_runs', thread_id), 0, 0)[1]
  local superseded = newest and newest ~= run_id and redis.call('HGET', key('run', newest), 'attempt') ~= '0'
  if fields[2] or superseded then
    abandon_waiting_run(run_id, 'the thread continued without an answer')
    return
  end
  redis.call('HSET', thread, 'waiting_run_id', run_id, 'idle_status', 'interrupted')
  if fields[1] ~= 'busy' then set_status(thread_id, 'interrupted') end
end

-- A paused run must be paused by an operator, by a switch that is off or whose runs are being queued, or because its
-- attempt has held it.
local function check_paused(run_id, thread_id)
  if not redis.call('ZSCORE', key('paused_runs'), run_id) and record_problem('paused_not_indexed', run_id) then
    redis.call('ZADD', key('paused_runs'), integer_text(now_ms), run_id)
  end
  local operator_pause, switch, held = unpack(redis.call('HMGET', key('run', run_id), 'operator_pause', 'switch',
    'held'))
  if operator_pause or held then return end
  if switch and redis.call('HEXISTS', key('switches'), switch) == 1 then return end
  if switch and redis.call('HEXISTS', key('resuming_switches'), switch) == 1 then return end
  if record_problem('paused_by_nothing', run_id) then
    queue_paused_run(run_id, thread_id, 'nothing paused it any more')
  end
end

-- An entry of the index of paused runs: its run must be paused.
function check.paused(run_id)
  if not redis.call('ZSCORE', key('paused_runs'), run_id) or phase_of(run_id) == 'paused' then return end
  if record_problem('paused_run_is_over', run_id) then redis.call('ZREM', key('paused_runs'), run_id) end
end

-- A member of that set: its run must be queued, as this member.
function check.queued(member)
  if not redis.call('ZSCORE', key('queued_runs'), member) then return end
  local run_id = string.match(member, '[^\31]*$')
  local phase, queued_as, graph_id = unpack(redis.call('HMGET', key('run', run_id), 'phase', 'queued_as', 'graph_id'))
  if phase == 'queued' and queued_as and graph_id .. '\31' .. queued_as .. '\31' .. run_id == member then return end
  if record_problem('counted_but_not_queued', run_id) then redis.call('ZREM', key('queued_runs'), member) end
end

function check.run(run_id)
  local fields = redis.call('HMGET', key('run', run_id), 'phase', 'thread_id')
  if fields[1] == 'queued' or fields[1] == 'paused' then check_queued(run_id, fields[2]) end
  if fields[1] == 'queued' then check_queued_as(run_id) end
  if fields[1] == 'paused' then check_paused(run_id, fields[2]) end
  if fields[1] == 'running' then check_running(run_id) end
  if fields[1] == 'waiting_for_approval' then check_waiting(run_id, fields[2]) end
end

for _, id in ipairs(args.ids) do check[args.kind](id) end
return problems
