--! needs: admission clock concurrency_groups events hashes jobs keys leases metrics pauses pending_counts pins queue runs switches versions waiting_runs
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
--   mark; nil if memory is not to be checked), `sharing` (how many shards share the server), `group` (of the worker,
--   by what it serves); a MessagePack map of what the worker serves (`lib/versions.lua`), or '' if versions do not
--   matter.
-- Reply: {ms until the next job is due ('' if none waits), 'near' if memory is near the mark else '', {run, thread,
--   graph and trace ('' if nothing is traced) of a run that began to wait for somebody, 'switch' or 'version', its
--   reason, ...}, {concurrency group, until when only this worker exchanges its slots (ms), ...}, fields of a run,
--   ...}. The fields of a run whose thread must be moved to the version first end with
--   `pinned_version` and `pinned_schema`, those of the thread.
-- Atomic: For each run: job, slots, lease, versions, the thread's status, and the waiting run that it answers; or its
--   pause, or its lane.
-- Repeatable: No: a repetition claims other runs.

local args = cmsgpack.unpack(ARGV[2])
local startable = args.mark and startable_bytes(args.mark, args.sharing) or nil
local expected = startable and expected_by_graph()
local stranded = {} -- runs that began to wait for what they cannot get by waiting
local exchanges = {} -- groups whose slots are to be exchanged with other shards, and until when nobody else does it
local reply = {'', startable and 'near' or '', stranded, exchanges}
local remaining = args.limit
local counts = '' -- pending ones
local BATCH = 200
local SUSPECTS_READ = 100
local LANE_READ = 100
local EXCHANGE_AGAIN_MS = 1000

-- Most claims find neither delayed jobs nor crash suspects nor lanes, and nothing is switched off. Then none of it is
-- read.
local others_wait = redis.call('EXISTS', key('later_queue'), key('suspect_queue'), key('switches'),
  key('version_lanes'), key('group_exchanges')) > 0
local exchanges_wait = others_wait
local anything_off = others_wait and redis.call('EXISTS', key('switches')) == 1
local queue_may_have_more, lanes_have_more, lanes_wait = true, false, false
local chooses_version, serves = ARGV[3] ~= '', nil

-- What the worker serves of a graph, or nil.
local function served_graph(graph_id)
  serves = serves or cmsgpack.unpack(ARGV[3])
  return serves[graph_id]
end

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
    if has_free_slot(pair[1], pair[2]) then
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

-- `run` is {id, thread, graph, trace}.
local function strand(run, waits_for, reason)
  for _, part in ipairs({run[1], run[2], run[3], run[4] or '', waits_for, reason}) do stranded[#stranded + 1] = part end
end

-- `lane` is the one from which the job was taken, or nil.
local function claim(job, score, lane)
  local run_id = split_job(job)
  local run = key('run', run_id)
  local stored = redis.call('HMGET', run, 'phase', 'thread_id', 'announce_attempt', 'continues', 'cancel_action',
    'groups', 'attempt', 'started_us', 'ordinal', 'crashes', 'graph_id', 'version', 'version_fixed', 'priority_ms',
    'queued_as', 'trace')
  local phase, thread_id, announces, continues, cancel_action, groups = unpack(stored, 1, 6)
  local attempt, started_us, ordinal, crashes, graph_id, version, version_fixed = unpack(stored, 7, 13)
  groups = decoded_groups(groups)
  if phase ~= 'queued' then
    offer_concurrency_slots(groups)
    return false
  end
  local active, waiting, status, started_runs, thread_error, pinned_graph, pinned, schema = unpack(redis.call('HMGET',
    key('thread', thread_id), 'active_run_id', 'waiting_run_id', 'status', 'started_runs', 'error', 'version_graph',
    'version', 'schema'))
  if active or redis.call('ZRANGE', key('thread_queue', thread_id), 0, 0)[1] ~= run_id then
    offer_concurrency_slots(groups)
    return false
  end
  local pause = not cancel_action and graph_pause(graph_id)
  if pause then
    set_paused(run_id, pause)
    strand({run_id, thread_id, graph_id, stored[16]}, 'switch', pause.reason)
    offer_concurrency_slots(groups)
    return false
  end
  version = given(version)
  pinned, schema = pin_for(graph_id, pinned_graph, pinned, schema)
  local execution, wanted_lane = {version = version, pinned = pinned, schema = schema}, nil
  if chooses_version then
    execution, wanted_lane = choose_execution(served_graph(graph_id), graph_id,
      {version = version, version_fixed = version_fixed}, {version = pinned, schema = schema}, cancel_action)
  end
  if not execution then
    local unserved = wait_in_lane(wanted_lane, lane, run_id, job, score)
    if unserved then strand({run_id, thread_id, graph_id, stored[16]}, 'version', unserved) end
    offer_concurrency_slots(groups)
    return false
  end
  local full = not cancel_action and concurrency_group_at_limit(groups) -- a cancelled run executes no node
  if full then
    redis.call('ZADD', key('parked_queue', full), score, job)
    keep_slots_before(full, groups)
    ask_for_group_exchange(full)
    exchanges_wait = true
    redis.call('HSET', run, 'reason', 'limit of ' .. full)
    offer_concurrency_slots(groups)
    return false
  end
  local rejected = waiting and continues == '1' and rejects_answer(waiting, run_id)
  local continued = waiting and not rejected and complete_waiting_run(thread_id, run_id, continues == '1')
  if continued then inherit_chain(continued, run_id) end
  attempt = acquire_lease(run_id, thread_id, args.worker, args.lease_ms, {attempt = attempt, started_us = started_us,
    ordinal = ordinal, crashes = crashes, groups = groups, status = status, started_runs = started_runs,
    error = thread_error, execution = execution, graph_id = graph_id, pinned_graph = pinned_graph})
  counts = counts .. (claim_items(run_id, graph_id, stored[14], stored[15], stored[16]) or '')
  if announces == '1' then append_events(run_id, {metadata_event(run_id, attempt)}) end
  local fields = redis.call('HGETALL', run)
  reply[#reply + 1] = execution.moves and joined(fields, pinned_fields(pinned, schema)) or fields
  return true
end

-- Claims from the lanes that the worker serves, and then crash suspects. Most claims do neither.
local function claim_from_other_queues()
  local free_slots, claimed_of, may_be_alone, is_alone = args.suspect_slots, {}, args.alone, false

  -- Whether this suspect, or the one that the worker has claimed, must be its only one.
  local function lacks_solitude(crashes) return is_alone or crashes >= args.alone_from and not may_be_alone end

  -- Whether the worker may claim this suspect now. `crashes` and `crash` are how many workers died with it, and the
  -- last of them.
  local function may_claim_suspect(crashes, crash)
    if lacks_solitude(crashes) then return false end
    return (free_slots[crash] or args.suspects) > 0 and not (crashes > 1 and claimed_of[crash])
  end

  local function use_suspect_slot(crashes, crash)
    free_slots[crash] = crashes > 1 and 0 or (free_slots[crash] or args.suspects) - 1
    claimed_of[crash], may_be_alone, is_alone = true, false, crashes >= args.alone_from
  end

  local function crashes_of(job)
    local fields = redis.call('HMGET', key('run', (split_job(job))), 'crashes', 'crashed_worker')
    return tonumber(fields[1]) or 0, fields[2] or ''
  end

  -- Whether enough jobs of the queue rank before this one.
  local function is_outranked(score)
    return redis.call('ZCOUNT', key('queue'), '-inf', '(' .. score) >= remaining
  end

  -- Claims jobs of a lane from a position on, unless they are outranked. Returns whether more may follow.
  local function claim_page_of_lane(lane, first)
    local jobs = redis.call('ZRANGE', key('version_queue', lane), first, first + LANE_READ - 1, 'WITHSCORES')
    for i = 1, #jobs, 2 do
      local job, score = jobs[i], jobs[i + 1]
      if remaining == 0 or is_outranked(score) then
        lanes_have_more = true
        return false
      end
      local crashes, crash = crashes_of(job)
      if crashes > 0 and not may_claim_suspect(crashes, crash) or waits_for_memory(job) then
        lanes_wait = true
      else
        leave_lane(lane, job)
        if claim(job, score, lane) then
          remaining = remaining - 1
          if crashes > 0 then use_suspect_slot(crashes, crash) end
        end
      end
    end
    return #jobs == 2 * LANE_READ
  end

  -- Claims the first jobs of a lane. If many of them must wait, or go back to the lane, they must not hide the jobs
  -- behind them for ever: then it also claims from another page, which differs from claim to claim.
  local function claim_from_lane(lane)
    local before = remaining
    if not claim_page_of_lane(lane, 0) then return end
    local read = LANE_READ - (before - remaining)
    local pages = math.ceil((redis.call('ZCARD', key('version_queue', lane)) - read) / LANE_READ)
    if pages <= 0 then return end
    if remaining > 0 then claim_page_of_lane(lane, read + now_us % pages * LANE_READ) end
    if remaining < before then lanes_have_more = true else lanes_wait = true end
  end

  local function claim_from_lanes()
    for _, lane in ipairs(redis.call('HKEYS', key('version_lanes'))) do
      local graph_id, version, is_fixed = split_lane(lane)
      local graph = served_graph(graph_id)
      if graph and may_execute_lane(graph, graph_id, version, is_fixed) then claim_from_lane(lane) end
    end
  end

  -- Claims the first suspects, unless they are outranked. No suspect overtakes one that must be alone.
  local function claim_suspects()
    local jobs = redis.call('ZRANGE', key('suspect_queue'), 0, SUSPECTS_READ - 1, 'WITHSCORES')
    for i = 1, #jobs, 2 do
      local job, score = jobs[i], jobs[i + 1]
      local crashes, crash = crashes_of(job)
      if remaining == 0 or lacks_solitude(crashes) then return end
      if may_claim_suspect(crashes, crash) then
        if is_outranked(score) then return end
        redis.call('ZREM', key('suspect_queue'), job)
        if claim(job, score) then
          remaining = remaining - 1
          use_suspect_slot(crashes, crash)
        end
      end
    end
  end

  if chooses_version then claim_from_lanes() end
  claim_suspects()
end

if others_wait then
  queue_jobs_that_became_due()
  claim_from_other_queues()
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
store_counts(counts)
if #held > 0 then redis.call('ZADD', key('queue'), unpack(held)) end
if startable then redis.call('HSET', key('memory'), 'startable', integer_text(startable)) end

if exchanges_wait then
  local until_ms = integer_text(now_ms + EXCHANGE_AGAIN_MS)
  for _, group in ipairs(redis.call('ZRANGEBYSCORE', key('group_exchanges'), '-inf', integer_text(now_ms))) do
    redis.call('ZADD', key('group_exchanges'), until_ms, group)
    exchanges[#exchanges + 1], exchanges[#exchanges + 2] = group, until_ms
  end
end

local may_have_more = lanes_have_more or queue_may_have_more and redis.call('ZCARD', key('queue')) > 0
if #held == 0 and may_have_more then
  -- another worker, which has free slots, claims the rest
  if remaining == 0 and not (lanes_have_more and wake_worker(args.group or '')) then wake_worker() end
  reply[1] = '0'
  return reply
end
redis.call('ZADD', key('waiting_workers'), now_us, (args.group or '') .. ' ' .. args.worker)
if #held > 0 then
  reply[1] = integer_text(args.again_ms)
elseif others_wait then
  local first = redis.call('ZRANGE', key('later_queue'), 0, 0, 'WITHSCORES')
  local wait_ms = #first > 0 and math.max(first[2] - now_ms, 0) or nil
  if lanes_wait or redis.call('EXISTS', key('suspect_queue')) == 1 then
    wait_ms = math.min(wait_ms or args.again_ms, args.again_ms)
  end
  if wait_ms then reply[1] = integer_text(wait_ms) end
end
return reply
