--! needs: clock jobs keys
--! repeatable: yes
--! shard: thread
-- Reads a run, and what decides when it continues: the place of its job, the runs before it, its lease.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `run_id`, `most` (ids of other runs that are read of each kind).
-- Reply: nothing if the run does not exist. Else the fields of the run, and a MessagePack map: `now_us`; `workers` (how
--   many live workers claim runs). Of a queued run: `active` (the run that executes on its thread), `thread_rank`,
--   `thread_before` (unfinished runs before it on the thread), `queue` (where its job is: 'queue', 'suspects', 'later',
--   'lane' or 'parked'), `score` of the job, `rank`, `length` and `before` (runs) in that queue; `group`, `limit`,
--   `holders` and `held` (how many) of a concurrency group; `lane` and `lane_served`; `suspects` (that execute, of the
--   same crash); `memory` (fields). Of a running run: `lease_ms` (when the lease ends), `grace_ms` (until when nothing
--   is reclaimed), `tools` (with a recorded call that has begun).
-- Atomic: Changes nothing; all of it is of one moment.
-- Repeatable: Yes: it only reads.

local args = cmsgpack.unpack(ARGV[2])
local MOST_CALLS = 200
local run = key('run', args.run_id)
local phase, thread_id, attempt, groups, lane, graph_id, crashed_worker = unpack(redis.call('HMGET', run, 'phase',
  'thread_id', 'attempt', 'groups', 'lane', 'graph_id', 'crashed_worker'))
if not phase then return {} end
local found = {
  now_us = integer_text(now_us),
  workers = redis.call('ZCOUNT', key('worker_versions'), integer_text(now_ms), '+inf'),
}

local function runs_of(jobs)
  local runs = {}
  for i, job in ipairs(jobs) do runs[i] = split_job(job) or job end
  return runs
end

-- Finds the job in a queue. Returns whether it is there.
local function find_in(name, queue, job)
  local score = redis.call('ZSCORE', queue, job)
  if not score then return false end
  found.queue, found.score = name, score
  found.rank, found.length = redis.call('ZRANK', queue, job), redis.call('ZCARD', queue)
  found.before = runs_of(found.rank > 0 and redis.call('ZRANGE', queue, 0, math.min(found.rank, args.most) - 1) or {})
  return true
end

local function find_in_parked(job)
  for _, pair in ipairs(groups and cjson.decode(groups) or {}) do
    if find_in('parked', key('parked_queue', pair[1]), job) then
      found.group, found.limit = pair[1], pair[2]
      found.held = redis.call('SCARD', key('group_runs', pair[1]))
      found.holders = redis.call('SRANDMEMBER', key('group_runs', pair[1]), args.most)
      return
    end
  end
end

-- The suspects that execute, of the crash after which this run waits.
local function running_suspects()
  local same = {}
  for _, id in ipairs(redis.call('SRANDMEMBER', key('running_suspects'), MOST_CALLS)) do
    if #same < args.most and redis.call('HGET', key('run', id), 'crashed_worker') == crashed_worker then
      same[#same + 1] = id
    end
  end
  return same
end

local function read_queued()
  found.active = redis.call('HGET', key('thread', thread_id), 'active_run_id') or nil
  found.thread_rank = redis.call('ZRANK', key('thread_queue', thread_id), args.run_id) or 0
  local last = math.min(found.thread_rank, args.most) - 1
  found.thread_before = last >= 0 and redis.call('ZRANGE', key('thread_queue', thread_id), 0, last) or {}
  local job = job_name(args.run_id, attempt + 1)
  if find_in('queue', key('queue'), job) or find_in('later', key('later_queue'), job) then
    found.memory = redis.call('HMGET', key('memory'), 'startable', 'used', 'max', 'run:' .. graph_id)
  elseif find_in('suspects', key('suspect_queue'), job) then
    found.suspects = running_suspects()
  elseif lane and find_in('lane', key('version_queue', lane), job) then
    found.lane, found.lane_served = lane, redis.call('HGET', key('version_lanes'), lane) == '1'
  else
    find_in_parked(job)
  end
end

-- The tools with a call that has begun and not ended. Results are not read.
local function begun_tools()
  local tools, calls = {}, redis.call('HKEYS', key('thread_calls', thread_id))
  for i = 1, math.min(#calls, MOST_CALLS) do
    local call = calls[i]
    local stored = string.sub(call, -7) ~= ':result' and redis.call('HGET', key('thread_calls', thread_id), call)
    local record = stored and cmsgpack.unpack(stored)
    if record and record.state == 'begun' and #tools < args.most then tools[#tools + 1] = record.tool end
  end
  return tools
end

local function read_running()
  found.lease_ms = redis.call('ZSCORE', key('leases'), args.run_id) or nil
  found.grace_ms = redis.call('HGET', key('outage_watch'), 'grace_until_ms') or nil
  found.tools = begun_tools()
end

if phase == 'queued' then read_queued() elseif phase == 'running' then read_running() end
return {redis.call('HGETALL', run), cmsgpack.pack(found)}
