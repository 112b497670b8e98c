--! needs: clock jobs keys pins queue
--! rare: choose_version choose_other_version current_of_rollout is_newer_version version_record lane_of lane_text lanes_in_use leave_lane may_execute_lane pinned_fields split_lane version_with_schema wait_in_lane wake_groups
-- The versions of graphs: on which one a run executes, and which workers may execute it.
--
-- What a process serves is a map of graph to `versions` (map of name to {schema, build}), `default` (the version of
-- threads that have none; nil if the process does not serve it), `at_resume` (whether the default may continue threads
-- of older versions), `current` (the version that a rollout names as current, or nil), and `ramping` (the version that
-- a rollout gives a share of the new threads, or nil: no other version takes its threads).
--
-- A lane holds the due jobs for which a version must be served that the worker which claimed them does not serve. Its
-- name is `<graph>@<version>`; the version is empty if any will do; `!` at its end says that no other version will do.

-- The record of a registered version. An empty table for one that was never registered.
local function version_record(graph_id, name)
  local stored = redis.call('HGET', key('graph_versions'), graph_id .. '@' .. name)
  return stored and cjson.decode(stored) or {}
end

local function is_newer_version(graph_id, name, other)
  return (version_record(graph_id, name).number or 0) > (version_record(graph_id, other).number or 0)
end

-- The version that a rollout names as current, or nil. What a process serves may lag behind it by one claim.
local function current_of_rollout(graph_id)
  local stored = redis.call('HGET', key('rollouts'), graph_id)
  return stored and cjson.decode(stored).current or nil
end

local read_before = {} -- what this script has read of live workers

-- What each group of live workers serves, by the id of the group.
local function groups_of_workers()
  if read_before.groups then return read_before.groups end
  local groups = {}
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key('worker_versions'), integer_text(now_ms), '+inf')) do
    local group = string.match(member, '^%S+')
    if not groups[group] then
      local stored = redis.call('HGET', key('version_groups'), group)
      groups[group] = stored and cmsgpack.unpack(stored) or {}
    end
  end
  read_before.groups = groups
  return groups
end

local function is_served(graph_id, name)
  for _, serves in pairs(groups_of_workers()) do
    if serves[graph_id] and serves[graph_id].versions[name] then return true end
  end
  return false
end

-- The oldest version of `graph` that has this schema, or nil.
local function version_with_schema(graph_id, graph, schema)
  local found = nil
  for name, served in pairs(graph.versions) do
    if served[1] == schema and not (found and is_newer_version(graph_id, name, found)) then found = name end
  end
  return found
end

-- The version of `graph`, what a process serves of a graph, with which it may continue a thread of the version
-- `wanted`, which it does not serve; nil if there is none. `schema` is that of the thread, or false.
local function choose_other_version(graph_id, graph, wanted, schema)
  local is_chosen = wanted == graph.ramping or wanted == graph.current and is_served(graph_id, wanted) -- by a rollout
  if not is_chosen and schema and schema ~= '' and not version_record(graph_id, wanted).declared then
    local same = version_with_schema(graph_id, graph, schema)
    if same then return same end
  end
  if not graph.at_resume or wanted == graph.ramping then return nil end
  if graph.current == graph.default or is_newer_version(graph_id, graph.default, wanted) then return graph.default end
end

-- The version on which a process that serves `graph` executes a run, or nil; and the version that the run wants, or
-- nil for any. `run` holds `version` and `version_fixed` of the run, and `thread` holds `version` and `schema` of its
-- thread; false or nil for what is not known.
local function version_for_run(graph_id, graph, run, thread)
  local wanted = run.version or thread.version
  if not wanted then return graph.default end
  if thread.version and wanted ~= thread.version and not run.version_fixed
      and is_newer_version(graph_id, thread.version, wanted) and current_of_rollout(graph_id) ~= wanted then
    wanted = thread.version -- the thread has moved since the run was created
  end
  if graph.versions[wanted] then return wanted, wanted end
  if run.version_fixed then return nil, wanted end
  return choose_other_version(graph_id, graph, wanted, thread.schema), wanted
end

-- The version and the schema that a thread has after a claim of its run for version `name`, and whether it must be
-- moved before the graph is opened. `schema` is that of the version.
local function pin_of(graph_id, name, schema, thread)
  if not thread.version then return name, schema, false end
  if thread.version == name then
    local is_known = thread.schema and schema ~= ''
    return name, thread.schema or schema, is_known and thread.schema ~= schema
  end
  local is_same = schema ~= '' and thread.schema == schema
  if not is_same or version_record(graph_id, name).declared or version_record(graph_id, thread.version).declared then
    return thread.version, thread.schema, true
  end
  return is_newer_version(graph_id, name, thread.version) and name or thread.version, schema, false
end

local function lane_of(graph_id, wanted, is_fixed)
  return graph_id .. '@' .. (wanted or '') .. (is_fixed and '!' or '')
end

-- Chooses the version on which a process executes a run: its `version` and `build`, the `pinned` version and `schema`
-- that its thread has then, and `moves`, whether the thread must be moved first. Or nil and the lane in which the run
-- must wait. `graph` is what the process serves of the graph, or nil. `cancelled`: the run executes no node, so any
-- version will do.
local function choose_execution(graph, graph_id, run, thread, cancelled)
  local chosen, wanted
  if graph then chosen, wanted = version_for_run(graph_id, graph, run, thread) end
  if chosen then
    local served = graph.versions[chosen]
    local pinned, schema, moves = pin_of(graph_id, chosen, served[1], thread)
    return {version = chosen, build = served[2], pinned = pinned, schema = schema, moves = moves}
  end
  if not cancelled then return nil, lane_of(graph_id, wanted or run.version or thread.version, run.version_fixed) end
  if not graph then return {version = run.version, pinned = thread.version, schema = thread.schema} end
  local name = graph.default or next(graph.versions)
  return {version = name, build = graph.versions[name][2], pinned = thread.version, schema = thread.schema}
end

-- What the reply adds to the fields of a run whose thread must be moved.
local function pinned_fields(version, schema)
  return {'pinned_version', version, 'pinned_schema', schema or ''}
end

-- The version that a new run gets when it is created; nil if the claim decides. `choice` are the members of
-- `VersionChoice`, `pinned` is the version of the thread or false, and `thread` has its `id` and its `active` run (or
-- false), and says whether it is `open`: a run is unfinished or waits. A run follows the last unfinished one.
local function choose_version(graph_id, choice, pinned, thread)
  if choice.explicit then return choice.explicit end
  if not pinned then return choice.new end
  local current = choice.current
  local stays = not current or pinned == current or choice.moves == 'pinned' or pinned == choice.ramping
  if stays or not (choice.rolled_out or is_newer_version(graph_id, current, pinned)) then return pinned end
  if choice.moves == 'at-resume' or not thread.open then return current end
  local last = redis.call('ZREVRANGE', key('thread_queue', thread.id), 0, 0)[1] or thread.active
  return last and given(redis.call('HGET', key('run', last), 'version')) or pinned
end

-- The graph, the version (empty for any), and whether no other version will do.
local function split_lane(lane)
  local graph_id, version, fixed = string.match(lane, '^(.*)@([^@!]*)(!?)$')
  return graph_id, version, fixed == '!'
end

-- The lane for people.
local function lane_text(lane)
  local graph_id, version = split_lane(lane)
  return version == '' and graph_id or graph_id .. '@' .. version
end

-- Whether a process that serves `graph` may execute the runs of a lane of this graph.
local function may_execute_lane(graph, graph_id, version, is_fixed)
  if version == '' or graph.versions[version] then return true end
  if is_fixed then return false end
  return choose_other_version(graph_id, graph, version, version_record(graph_id, version).schema) ~= nil
end

-- Wakes a worker of each group that may execute the runs of a lane. Returns whether there is one.
local function wake_groups(lane)
  local graph_id, version, is_fixed = split_lane(lane)
  local found = false
  for group, serves in pairs(groups_of_workers()) do
    local graph = serves[graph_id]
    if graph and may_execute_lane(graph, graph_id, version, is_fixed) then
      wake_worker(group)
      found = true
    end
  end
  return found
end

local function lane_reason(lane, is_served)
  return (is_served and 'waits for a worker that serves ' or 'no live worker serves ') .. lane_text(lane)
end

-- Adds a due job to a lane and wakes workers for it. `from` is the lane from which the job was taken, or nil. Returns
-- the reason if no live worker serves the lane and the job comes from elsewhere.
local function wait_in_lane(lane, from, run_id, job, score)
  redis.call('ZADD', key('version_queue', lane), score, job)
  if lane == from then
    redis.call('HSETNX', key('version_lanes'), lane, 1)
    redis.call('HSET', key('run', run_id), 'lane', lane)
    return
  end
  local is_served = wake_groups(lane)
  redis.call('HSETNX', key('version_lanes'), lane, is_served and 1 or 0) -- a change is for version_lanes_refresh.lua
  local reason = lane_reason(lane, is_served)
  redis.call('HSET', key('run', run_id), 'lane', lane, 'reason', reason)
  return not is_served and reason or nil
end

-- Removes a job from its lane, which is the field of its run or false.
local function leave_lane(lane, job)
  if not lane then return end
  local left = redis.call('ZREM', key('version_queue', lane), job) == 1
  redis.call('HDEL', key('run', (split_job(job))), 'lane')
  if left and redis.call('EXISTS', key('version_queue', lane)) == 0 then
    redis.call('HDEL', key('version_lanes'), lane)
  end
end

-- Each lane that has jobs: {lane, 1 if a live worker serves its version else 0, number of jobs, ms since the first of
-- them was due}.
local function lanes_in_use()
  local lanes, found = redis.call('HGETALL', key('version_lanes')), {}
  for i = 1, #lanes, 2 do
    local first = redis.call('ZRANGE', key('version_queue', lanes[i]), 0, 0, 'WITHSCORES')
    if first[1] then
      found[#found + 1] = {lanes[i], tonumber(lanes[i + 1]), redis.call('ZCARD', key('version_queue', lanes[i])),
        integer_text(math.max(now_ms - first[2], 0))}
    end
  end
  return found
end
