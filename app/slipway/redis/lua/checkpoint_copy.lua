--! repeatable: no
--! shard: thread
--! threads: 2
-- Copies every checkpoint of a thread to a thread that has none.
--
-- KEYS: index and state of the source, index and state of the target; then the records of both threads, unless the
--   caller has no thread records.
-- ARGV: prefix of the source's pending-writes keys; the target's; the target thread; what precedes and follows a run
--   id in the name of a run's set of threads; with their records, the creation times of both threads in µs.
-- Reply: 'ok'; 'exists' if the target has checkpoints; 'deleted' if a thread was deleted, or deleted and created again.
--   A target's record says by `copied_us` that its checkpoints are still to be copied.
-- Atomic: All keys of the target.
-- Repeatable: No: a repetition replies 'exists'.

if redis.call('EXISTS', KEYS[3], KEYS[4]) > 0 then return 'exists' end
if ARGV[6] then
  local from, to = redis.call('HGET', KEYS[5], 'created_us'), redis.call('HMGET', KEYS[6], 'created_us', 'copied_us')
  if to[1] == ARGV[7] and not to[2] then return 'exists' end
  if from ~= ARGV[6] or to[1] ~= ARGV[7] then return 'deleted' end
  redis.call('HDEL', KEYS[6], 'copied_us')
end
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  redis.call('COPY', ARGV[1] .. member, ARGV[2] .. member, 'REPLACE')
  local record = redis.call('HGET', KEYS[2], 'c' .. member)
  if record then
    local _, head = cmsgpack.unpack_one(record, 4)
    if head[3] ~= '' then redis.call('SADD', ARGV[4] .. head[3] .. ARGV[5], ARGV[3]) end
  end
end
redis.call('COPY', KEYS[1], KEYS[3])
redis.call('COPY', KEYS[2], KEYS[4])
return 'ok'
