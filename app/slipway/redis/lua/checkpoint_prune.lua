--! repeatable: yes
--! shard: thread
-- Deletes checkpoints of a thread, and the channel values that no other checkpoint uses, nor the compression of its
-- pending writes. A delta channel is rebuilt from the writes of its ancestors, back to the nearest that has a value of
-- it: ancestors that a kept checkpoint needs for that are kept. While the latest checkpoint of a thread is one that a
-- migration has rewritten, the original is kept as well.
--
-- KEYS: index; state; the thread record, if nothing may be deleted while a run executes.
-- ARGV: prefix of the pending-writes keys; thread; what precedes and follows a run id in the name of a run's set of
--   threads; then either 'latest' (keep the latest of each namespace) and, with its record, the creation time of the
--   thread in µs, or 'runs' and the runs whose checkpoints are deleted.
-- Reply: the number of deleted checkpoints; -1 if the thread is busy, was deleted, or was deleted and created again.
-- Atomic: The checkpoints, the values, and the counter of bytes.
-- Repeatable: Yes: what is deleted is not found again.

local index, state = KEYS[1], KEYS[2]
local rewritten, original
if ARGV[5] == 'latest' and ARGV[6] then
  local fields = redis.call('HMGET', KEYS[3], 'status', 'created_us', 'original')
  if fields[1] == 'busy' or fields[2] ~= ARGV[6] then return -1 end
  rewritten, original = string.match(fields[3] or '', '^(%S+) (%S+)$')
end
local writes_prefix, thread, run_before, run_after = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local members = redis.call('ZRANGE', index, 0, -1)
local heads, namespaces, keep, latest, deleted_runs = {}, {}, {}, {}, {}
for i = 6, #ARGV do deleted_runs[ARGV[i]] = true end

for _, member in ipairs(members) do
  namespaces[member] = string.match(member, '^[^%z]*')
  local record = redis.call('HGET', state, 'c' .. member)
  if record then
    local _, head = cmsgpack.unpack_one(record, 4)
    heads[member] = head
    latest[namespaces[member]] = member
  end
end

local function field(member, channel, version)
  if type(version) == 'number' then version = string.format('%.17g', version) end
  return 'b' .. namespaces[member] .. '\0' .. channel .. '\0' .. version
end

-- Removes the channels that this checkpoint has a value of: they need no older ancestor.
local function remove_resolved(member, unresolved)
  local versions = heads[member][1]
  for i = 1, #versions, 2 do
    local channel = versions[i]
    if unresolved[channel] and redis.call('HEXISTS', state, field(member, channel, versions[i + 1])) == 1 then
      unresolved[channel] = nil
    end
  end
end

local function keep_ancestors(member)
  local unresolved = {}
  for _, channel in ipairs(heads[member][4]) do unresolved[channel] = true end
  remove_resolved(member, unresolved)
  while next(unresolved) do
    member = namespaces[member] .. '\0' .. heads[member][2]
    if not heads[member] then return end
    keep[member] = true
    remove_resolved(member, unresolved)
  end
end

for _, member in ipairs(members) do
  if ARGV[5] == 'runs' then
    keep[member] = not (heads[member] and deleted_runs[heads[member][3]])
  else
    -- pending writes later than the latest checkpoint stay: their checkpoint may not be stored yet
    local newest = latest[namespaces[member]]
    keep[member] = not newest or member >= newest
  end
end
if rewritten and latest[''] == '\0' .. rewritten and heads['\0' .. original] then keep['\0' .. original] = true end
local chosen = {}
for _, member in ipairs(members) do
  if keep[member] and heads[member] then chosen[#chosen + 1] = member end
end
for _, member in ipairs(chosen) do keep_ancestors(member) end

local freed, used, runs_kept, removed = 0, {}, {}, 0
local function delete_value(name)
  freed = freed + #name + redis.call('HSTRLEN', state, name)
  redis.call('HDEL', state, name)
end
for _, member in ipairs(members) do
  local head = heads[member]
  if keep[member] and head then
    runs_kept[head[3]] = true
    for i = 1, #head[1], 2 do used[field(member, head[1][i], head[1][i + 1])] = true end
    local names = redis.call('HGET', writes_prefix .. member, 'dictionary')
    for _, name in ipairs(names and cmsgpack.unpack(names) or {}) do used[name] = true end
  end
end
for _, member in ipairs(members) do
  if not keep[member] then
    local head = heads[member]
    if head then
      delete_value('c' .. member)
      freed = freed + #member -- its entry in the index
      if head[3] ~= '' and not runs_kept[head[3]] then
        redis.call('SREM', run_before .. head[3] .. run_after, thread)
      end
    end
    for _, part in ipairs(redis.call('HGETALL', writes_prefix .. member)) do freed = freed + #part end
    redis.call('UNLINK', writes_prefix .. member)
    redis.call('ZREM', index, member)
    removed = removed + 1
  end
end
if removed > 0 then
  for _, name in ipairs(redis.call('HKEYS', state)) do
    if string.sub(name, 1, 1) == 'b' and not used[name] then delete_value(name) end
  end
  if redis.call('EXISTS', index) == 0 then
    redis.call('UNLINK', state)
  elseif redis.call('HINCRBY', state, 'n', -freed) < 0 then
    redis.call('HSET', state, 'n', 0)
  end
end
return removed
