--! needs: clock keys shared_records
--! repeatable: yes
--! shard: thread
-- Gives all shared records new revisions, so that all copies are replaced. This shard has lost writes in a failover, or
-- records were restored: then its records are right, and a copy that it does not have is deleted.
--
-- KEYS: none; the names are made from the prefix of the first shard.
-- ARGV: the key prefix; a MessagePack map: `revisions` (the greatest revision in each other shard, as text), `names`
--   (the names of the records of which other shards have copies).
-- Reply: how many records have new revisions.
-- Atomic: All of it.
-- Repeatable: Yes: a repetition only gives new revisions again.

local args = cmsgpack.unpack(ARGV[2])
local RECORDS_OF_A_REVISION = 500

local above = newest_revision()
for _, revision in ipairs(args.revisions) do above = math.max(above, tonumber(revision)) end
local first, count, has = math.max(now_us, above + 1), 0, {}

local function restate(name)
  if has[name] then return end
  has[name] = true
  local revision = first + math.floor(count / RECORDS_OF_A_REVISION)
  redis.call('ZADD', key('shared_changes'), revision, name)
  if count % RECORDS_OF_A_REVISION == 0 then remember_revision(revision) end
  count = count + 1
end

for _, name in ipairs(args.names) do restate(name) end
for _, name in ipairs(redis.call('ZRANGE', key('shared_changes'), 0, -1)) do restate(name) end
for _, id in ipairs(redis.call('HKEYS', key('switches'))) do restate('switch ' .. id) end
for _, id in ipairs(redis.call('HKEYS', key('rollouts'))) do restate('rollout ' .. id) end
for _, id in ipairs(redis.call('HKEYS', key('graph_versions'))) do restate('version ' .. id) end
for _, id in ipairs(redis.call('ZRANGE', key('webhook_endpoints'), 0, -1)) do restate('endpoint ' .. id) end
-- every record has a greater revision now, so these are known to be behind
for _, revision in ipairs(args.revisions) do
  if revision ~= '0' then redis.call('ZADD', key('shared_revisions'), revision, revision) end
end
return count
