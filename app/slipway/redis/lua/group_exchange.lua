--! needs: clock keys
--! repeatable: yes
--! shard: limits
-- Divides the slots of a concurrency group among the shards of threads. A shard never has more slots than are noted
-- here, and all together never more than the limit, because a slot is noted before a shard gets it, and until the shard
-- has given it back.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `group`, `reports` ({shard, slots, revision, whether it wants more, limit or
--   0} of each, as `group_sync.lua` replies).
-- Reply: {shard, slots, revision, slots that it owes to others} of each shard that must be told.
-- Atomic: All shards of the group.
-- Repeatable: Yes: a repetition may ask shards again for what they owe.

local args = cmsgpack.unpack(ARGV[2])
local shares, wants = key('group_shares', args.group), key('group_wants', args.group)
local records, told, granted = {}, {}, {}
local limit = tonumber(redis.call('HGET', shares, 'limit')) or 0
for _, shard in ipairs(redis.call('HKEYS', shares)) do
  local slots, revision = string.match(redis.call('HGET', shares, shard), '^(%d+) (%d+)$')
  if slots then records[shard] = {slots = tonumber(slots), revision = tonumber(revision)} end -- else it is the limit
end

local function store(shard)
  redis.call('HSET', shares, shard, records[shard].slots .. ' ' .. records[shard].revision)
end

for _, report in ipairs(args.reports) do
  local shard, slots, revision, is_wanting, its_limit = unpack(report)
  shard = tostring(shard)
  local record = records[shard] or {slots = 0, revision = 0}
  records[shard] = record
  -- a higher revision than the one noted here: this shard has lost its latest writes
  if revision > record.revision then record.slots, record.revision = slots, revision end
  if revision == record.revision then record.slots = math.min(record.slots, slots) else told[shard] = 0 end
  if its_limit > 0 then limit = its_limit end
  if is_wanting then redis.call('ZADD', wants, 'NX', now_us, shard) else redis.call('ZREM', wants, shard) end
  store(shard)
end
redis.call('HSET', shares, 'limit', limit)

local free, members = limit, 0
for _, record in pairs(records) do
  free = free - record.slots
  members = members + 1
end
local fair = math.max(math.floor(limit / math.max(members, 1)), 1)
local wanting = redis.call('ZRANGE', wants, 0, -1)
local is_wanting = {}
for _, shard in ipairs(wanting) do is_wanting[shard] = true end

local function grant(shard)
  local record = records[shard]
  record.slots, record.revision = record.slots + 1, record.revision + 1
  free = free - 1
  told[shard], granted[shard] = 0, true
  redis.call('ZADD', wants, now_us, shard)
  store(shard)
end

-- first those with less than their part, the one that has waited longest before the others
local starving = 0
for _, shard in ipairs(wanting) do
  if records[shard].slots < fair then
    if free > 0 then grant(shard) else starving = starving + 1 end
  end
end
for _, shard in ipairs(wanting) do
  if free > 0 and not told[shard] then grant(shard) end
end

-- Asks shards for slots of which they keep at least `keeps(shard)`.
local needed = starving + math.max(-free, 0)
local function ask(keeps)
  for shard, record in pairs(records) do
    local owed = granted[shard] and 0 or math.min(needed, record.slots - (told[shard] or 0) - keeps(shard))
    if owed > 0 then
      told[shard] = (told[shard] or 0) + owed
      needed = needed - owed
    end
  end
end
if needed > 0 then ask(function(shard) return is_wanting[shard] and fair or 0 end) end
if needed > 0 then ask(function() return 0 end) end

if #wanting > 0 then
  redis.call('ZADD', key('groups_wanted'), integer_text(now_ms), args.group)
else
  redis.call('ZREM', key('groups_wanted'), args.group)
end
local reply = {}
for shard, owed in pairs(told) do
  reply[#reply + 1] = {tonumber(shard), records[shard].slots, records[shard].revision, owed}
end
return reply
