--! repeatable: yes
--! shard: thread
-- Remove checkpoints kept as documents, and their pending writes.
-- KEYS: the thread's counter, and, where it matters, the thread's record: nothing is done while it is busy, or when it was
--   not created at the time in ARGV ('' is a thread that does not exist) (-1).
-- ARGV: that time, what leads the names of checkpoints, registries, writes and pointers; how many <at>, <at>, ...; how many other
--   writes, their names, ...; then <thread>:<ns> and its latest <at> afterwards ('' is none), ...; 
-- A pointer is moved only if it names a document that is not there (any more). Returns how many were removed.
local checkpoints, registries, writes, pointers = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if KEYS[2] then
  local held = redis.call('HMGET', KEYS[2], 'status', 'created_us')
  if held[1] == 'busy' or (held[2] or '') ~= ARGV[1] then return -1 end
end
local removed, freed = 0, 0

local function forget(name)
  local document = redis.call('JSON.GET', name)
  if document then freed = freed + #document end
  redis.call('UNLINK', name)
end

local at = 7
for _ = 1, tonumber(ARGV[6]) do
  local registry = registries .. ARGV[at]
  for _, name in ipairs(redis.call('ZRANGE', registry, 0, -1)) do
    if string.sub(name, 1, #writes) == writes then
      forget(name)
      redis.call('ZREM', registry, name)
    end
  end
  forget(checkpoints .. ARGV[at])
  removed = removed + 1
  at = at + 1
end
local others = tonumber(ARGV[at])
for i = at + 1, at + others do forget(ARGV[i]) end
for i = at + 1 + others, #ARGV, 2 do
  local pointer = pointers .. ARGV[i]
  local latest = redis.call('GET', pointer)
  if not latest or redis.call('EXISTS', latest) == 0 then
    if ARGV[i + 1] == '' then
      redis.call('UNLINK', pointer)
    else
      redis.call('SET', pointer, checkpoints .. ARGV[i + 1])
    end
  end
end
local counted = redis.call('GET', KEYS[1])
if KEYS[2] and ARGV[1] == '' then
  redis.call('UNLINK', KEYS[1])
elseif counted then
  if tonumber(counted) <= freed then
    redis.call('UNLINK', KEYS[1])
  else
    redis.call('DECRBY', KEYS[1], freed)
  end
end
return removed
