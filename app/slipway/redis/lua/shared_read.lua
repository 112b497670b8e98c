--! needs: clock keys shared_records
--! repeatable: yes
--! shard: thread
-- Reads the shared records that were changed since the copies of other shards were made, for `shared_replace.lua`.
--
-- KEYS: none; the names are made from the prefix of the first shard.
-- ARGV: the key prefix; a MessagePack map: `copies` (the greatest revision in each shard that is behind, as text; '0'
--   for none), `limit` (records that are read, and all others of the last revision).
-- Reply: {'ok', the greatest revision that was read, 1 if there are greater ones else 0, the records as MessagePack};
--   {'unknown'} if this shard has not given one of the revisions, or does not remember it: see `shared_restate.lua`.
-- Atomic: Changes nothing; all records are of one moment.
-- Repeatable: Yes: it only reads.

local args = cmsgpack.unpack(ARGV[2])

local function record_of(kind, id)
  if kind == 'switch' then return redis.call('HGET', key('switches'), id) end
  if kind == 'rollout' then return redis.call('HGET', key('rollouts'), id) end
  if kind == 'version' then return redis.call('HGET', key('graph_versions'), id) end
  local endpoint = redis.call('HGETALL', key('webhook_endpoint', id))
  return #endpoint > 0 and endpoint
end

local since = math.huge
for _, revision in ipairs(args.copies) do
  if revision ~= '0' and not redis.call('ZSCORE', key('shared_revisions'), revision) then return {'unknown'} end
  since = math.min(since, tonumber(revision))
end

local first = redis.call('ZRANGEBYSCORE', key('shared_changes'), '(' .. integer_text(since), '+inf', 'WITHSCORES',
  'LIMIT', 0, args.limit)
local last = tonumber(first[#first] or since)
local changes = redis.call('ZRANGEBYSCORE', key('shared_changes'), '(' .. integer_text(since), integer_text(last),
  'WITHSCORES')
local records = {}
for i = 1, #changes, 2 do
  local kind, id = string.match(changes[i], '^(%S+) (.*)$')
  records[#records + 1] = {kind, id, changes[i + 1], record_of(kind, id), redis.call('HGET', key('shared_actors'),
    changes[i])}
end
return {'ok', integer_text(last), last < newest_revision() and 1 or 0, cmsgpack.pack(records)}
