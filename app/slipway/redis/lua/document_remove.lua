--! repeatable: yes
--! shard: thread
-- langgraph-redis: deletes checkpoints and their pending writes.
--
-- KEYS: the thread's byte counter; the thread record, if nothing may be deleted while a run executes.
-- ARGV: creation time of the thread in µs ('' if the thread must not exist); prefixes of checkpoints, registries,
--   writes and pointers; the number of checkpoints, then their names; the number of other writes, then their names;
--   then <thread>:<namespace> and the name of its latest checkpoint afterwards ('' for none), repeated.
-- Reply: the number of deleted checkpoints; -1 if the thread is busy, was deleted, or was deleted and created again.
-- Atomic: The documents, the pointers and the byte counter. A pointer to a document that still exists stays.
-- Repeatable: Yes: what is deleted is not found again.

local checkpoints, registries, writes, pointers = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if KEYS[2] then
  local fields = redis.call('HMGET', KEYS[2], 'status', 'created_us')
  if fields[1] == 'busy' or (fields[2] or '') ~= ARGV[1] then return -1 end
end
local removed, freed = 0, 0

local function delete_document(name)
  local document = redis.call('JSON.GET', name)
  if document then freed = freed + #document end
  redis.call('UNLINK', name)
end

local at = 7
for _ = 1, tonumber(ARGV[6]) do
  local registry = registries .. ARGV[at]
  for _, name in ipairs(redis.call('ZRANGE', registry, 0, -1)) do
    if string.sub(name, 1, #writes) == writes then
      delete_document(name)
      redis.call('ZREM', registry, name)
    end
  end
  delete_document(checkpoints .. ARGV[at])
  removed = removed + 1
  at = at + 1
end
local others = tonumber(ARGV[at])
for i = at + 1, at + others do delete_document(ARGV[i]) end
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
