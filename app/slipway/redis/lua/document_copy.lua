--! repeatable: no
--! shard: thread
--! threads: 2
-- langgraph-redis: copies the checkpoints of a thread to a thread that has none.
--
-- KEYS: byte counters of source and target; then the records of both threads, unless the caller has no thread records.
-- ARGV: creation times of both threads in µs; prefixes of checkpoints, registries, writes and pointers; source thread;
--   target thread; the number of checkpoints, then <namespace>:<checkpoint> of each; then the namespaces that have a
--   pointer.
-- Reply: 'ok'; 'exists' if the target has checkpoints; 'deleted' if a thread was deleted, or deleted and created again.
--   A target's record says by `copied_us` that its checkpoints are still to be copied.
-- Atomic: All keys of the target.
-- Repeatable: No: a repetition replies 'exists'.

local checkpoints, registries, writes, pointers = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local source, target, count = ARGV[7], ARGV[8], tonumber(ARGV[9])
local owner = cjson.encode(target)
if redis.call('EXISTS', KEYS[2]) == 1 then return 'exists' end
if KEYS[4] then
  local from, to = redis.call('HGET', KEYS[3], 'created_us'), redis.call('HMGET', KEYS[4], 'created_us', 'copied_us')
  if to[1] == ARGV[2] and not to[2] then return 'exists' end
  if from ~= ARGV[1] or to[1] ~= ARGV[2] then return 'deleted' end
  redis.call('HDEL', KEYS[4], 'copied_us')
end

local function copy(from, to)
  redis.call('COPY', from, to, 'REPLACE')
  redis.call('JSON.SET', to, '$.thread_id', owner)
end

for i = 10, 9 + count do
  local from, to = source .. ':' .. ARGV[i], target .. ':' .. ARGV[i]
  if redis.call('EXISTS', checkpoints .. from) == 1 then copy(checkpoints .. from, checkpoints .. to) end
  for score, write in ipairs(redis.call('ZRANGE', registries .. from, 0, -1)) do
    if string.sub(write, 1, #writes) == writes then
      local copied = writes .. target .. string.sub(write, #writes + #source + 1)
      copy(write, copied)
      redis.call('ZADD', registries .. to, score, copied)
    end
  end
end
for i = 10 + count, #ARGV do
  local latest = redis.call('GET', pointers .. source .. ':' .. ARGV[i])
  if latest then
    local rest = string.sub(latest, #checkpoints + #source + 1)
    redis.call('SET', pointers .. target .. ':' .. ARGV[i], checkpoints .. target .. rest)
  end
end
redis.call('COPY', KEYS[1], KEYS[2])
return 'ok'
