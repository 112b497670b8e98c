--! repeatable: yes
--! shard: thread
-- Remove checkpoints of a thread, and the channel values that none of the others has.
-- KEYS: index, state, and, where it matters, the thread's record: nothing is done while it is busy, or when it is that of
--   another thread by now (-1).
-- ARGV: prefix of the writes' keys, thread, what leads and trails a run's id in the name of its set, then
--   'latest' (keep the latest of each namespace), and when the thread was created
--   or   'runs', run, ... (remove those of the runs).
-- A delta channel is rebuilt from the writes of its ancestors, back to the nearest that holds a value of it: ancestors
-- that a kept checkpoint needs for that are kept too.
local index, state = KEYS[1], KEYS[2]
if KEYS[3] then
  local held = redis.call('HMGET', KEYS[3], 'status', 'created_us')
  if held[1] == 'busy' or held[2] ~= ARGV[6] then return -1 end
end
local writes_prefix, thread, run_before, run_after = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local members = redis.call('ZRANGE', index, 0, -1)
local heads, namespaces, keep, latest, doomed_runs = {}, {}, {}, {}, {}
for i = 6, #ARGV do doomed_runs[ARGV[i]] = true end

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

-- The channels of `wanted` whose value this checkpoint holds need no older ancestor.
local function strike(member, wanted)
  local versions = heads[member][1]
  for i = 1, #versions, 2 do
    local channel = versions[i]
    if wanted[channel] and redis.call('HEXISTS', state, field(member, channel, versions[i + 1])) == 1 then
      wanted[channel] = nil
    end
  end
end

local function keep_ancestors(member)
  local wanted = {}
  for _, channel in ipairs(heads[member][4]) do wanted[channel] = true end
  strike(member, wanted)
  while next(wanted) do
    member = namespaces[member] .. '\0' .. heads[member][2]
    if not heads[member] then return end
    keep[member] = true
    strike(member, wanted)
  end
end

for _, member in ipairs(members) do
  if ARGV[5] == 'runs' then
    keep[member] = not (heads[member] and doomed_runs[heads[member][3]])
  else
    -- writes without a checkpoint, later than the latest: their checkpoint may be on its way
    local newest = latest[namespaces[member]]
    keep[member] = not newest or member >= newest
  end
end
local chosen = {}
for _, member in ipairs(members) do
  if keep[member] and heads[member] then chosen[#chosen + 1] = member end
end
for _, member in ipairs(chosen) do keep_ancestors(member) end

local freed, used, runs_kept, removed = 0, {}, {}, 0
local function forget(name)
  freed = freed + #name + redis.call('HSTRLEN', state, name)
  redis.call('HDEL', state, name)
end
for _, member in ipairs(members) do
  local head = heads[member]
  if keep[member] and head then
    runs_kept[head[3]] = true
    for i = 1, #head[1], 2 do used[field(member, head[1][i], head[1][i + 1])] = true end
  end
end
for _, member in ipairs(members) do
  if not keep[member] then
    local head = heads[member]
    if head then
      forget('c' .. member)
      freed = freed + #member -- its place in the index
      if head[3] ~= '' and not runs_kept[head[3]] then redis.call('SREM', run_before .. head[3] .. run_after, thread) end
    end
    for _, part in ipairs(redis.call('HGETALL', writes_prefix .. member)) do freed = freed + #part end
    redis.call('UNLINK', writes_prefix .. member)
    redis.call('ZREM', index, member)
    removed = removed + 1
  end
end
if removed > 0 then
  for _, name in ipairs(redis.call('HKEYS', state)) do
    if string.sub(name, 1, 1) == 'b' and not used[name] then forget(name) end
  end
  if redis.call('EXISTS', index) == 0 then
    redis.call('UNLINK', state)
  elseif redis.call('HINCRBY', state, 'n', -freed) < 0 then
    redis.call('HSET', state, 'n', 0)
  end
end
return removed
