--! needs: clock keys shared_records versions
--! repeatable: yes
--! shard: thread
-- Registers the versions of graphs that a process serves, and what they were built from. A new version is the newest
-- of its graph. So is an undeclared one that was registered before, if no live worker serves a newer one: then its code
-- was deployed again. The first shard decides; the others get a copy of the versions.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `versions` (a list of maps: `graph_id`, `name`, `schema`, `build`,
--   `declared`; those of a graph from the oldest to the newest), `group` (the id of what the process serves; nil if it
--   claims no runs); the MessagePack map of what it serves, or ''; then the id and the JSON of each build; then '';
--   then the schema and the stored form of each structure.
-- Reply: {how many of the versions no live worker serves with this code, 0 if the process claims no runs; 1 if a record
--   of a version was changed, else 0}.
-- Atomic: All of it.
-- Repeatable: Yes: a version that is registered keeps its number.

local args = cmsgpack.unpack(ARGV[2])
local HOUR_MS = 3600000

-- Forgets groups without a worker.
redis.call('ZREMRANGEBYSCORE', key('worker_versions'), '-inf', integer_text(now_ms - HOUR_MS))
local has_worker = {}
for _, member in ipairs(redis.call('ZRANGE', key('worker_versions'), 0, -1)) do
  has_worker[string.match(member, '^%S+')] = true
end
for _, group in ipairs(redis.call('HKEYS', key('version_groups'))) do
  if not has_worker[group] then redis.call('HDEL', key('version_groups'), group) end
end

-- Whether a live worker serves a version of the graph with a greater number.
local function newer_is_served(graph_id, number)
  for _, serves in pairs(groups_of_workers()) do
    for name in pairs(serves[graph_id] and serves[graph_id].versions or {}) do
      if (version_record(graph_id, name).number or 0) > number then return true end
    end
  end
  return false
end

local has_changed = 0

local function register(version)
  local field = lane_of(version.graph_id, version.name)
  local record = version_record(version.graph_id, version.name)
  local newest = tonumber(redis.call('HGET', key('version_numbers'), version.graph_id) or 0)
  local returns = record.number and not version.declared and record.number < newest
    and not newer_is_served(version.graph_id, record.number)
  if not record.number or returns then
    record.number = redis.call('HINCRBY', key('version_numbers'), version.graph_id, 1)
  end
  record.since_us = record.since_us or integer_text(now_us)
  record.schema, record.build, record.declared = version.schema, version.build, version.declared
  local stored = cjson.encode(record)
  if redis.call('HGET', key('graph_versions'), field) ~= stored then
    redis.call('HSET', key('graph_versions'), field, stored)
    note_shared_change('version', field)
    has_changed = 1
  end
end

-- Whether a live worker serves a version with the same code.
local function same_code_is_served(version)
  for _, serves in pairs(groups_of_workers()) do
    local served = serves[version.graph_id] and serves[version.graph_id].versions[version.name]
    if served and served[2] == version.build then return true end
  end
  return false
end

local newly_served = 0
for _, version in ipairs(args.versions) do
  register(version)
  if args.group and not same_code_is_served(version) then newly_served = newly_served + 1 end
end
if args.group and redis.call('HGET', key('version_groups'), args.group) ~= ARGV[3] then
  redis.call('HSET', key('version_groups'), args.group, ARGV[3])
end

local position = 4
while ARGV[position] ~= '' do
  redis.call('HSETNX', key('builds'), ARGV[position], ARGV[position + 1])
  position = position + 2
end
for i = position + 1, #ARGV, 2 do redis.call('HSETNX', key('graph_structures'), ARGV[i], ARGV[i + 1]) end
return {newly_served, has_changed}
