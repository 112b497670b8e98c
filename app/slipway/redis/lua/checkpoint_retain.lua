--! repeatable: no
--! shard: thread
-- Deletes some checkpoints of a thread, and channel values that no other checkpoint uses, if nothing has changed since
-- the caller chose them.
--
-- KEYS: index; state; the thread record.
-- ARGV: prefix of the pending-writes keys; thread; what precedes and follows a run id in the name of a run's set of
--   threads; the creation time of the thread in µs; how many checkpoints the thread must have; '1' to delete, '' to
--   count only; counts of checkpoints, of values and of runs; then the members, the fields of the values, and the runs
--   of which the thread has no checkpoints afterwards.
-- Reply: the freed bytes; -1 if the thread is busy, was deleted, or has other checkpoints.
-- Atomic: The checkpoints, the values, and the counter of bytes. A new checkpoint changes the count, and a run makes
--   the thread busy, so none of the deleted checkpoints is in use.
-- Repeatable: No: the count has changed. The caller reads again and continues.

local index, state = KEYS[1], KEYS[2]
local writes_prefix, thread, run_before, run_after = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local fields = redis.call('HMGET', KEYS[3], 'status', 'created_us')
if fields[1] == 'busy' or fields[2] ~= ARGV[5] or redis.call('ZCARD', index) ~= tonumber(ARGV[6]) then return -1 end
local deletes = ARGV[7] == '1'
local members_end = 10 + ARGV[8]
local values_end = members_end + ARGV[9]

local freed = 0
local function delete_field(name)
  local size = redis.call('HSTRLEN', state, name)
  if size > 0 then freed = freed + #name + size end
  if deletes then redis.call('HDEL', state, name) end
end
for i = 11, members_end do
  local member = ARGV[i]
  delete_field('c' .. member)
  freed = freed + #member -- its entry in the index
  local writes = writes_prefix .. member
  for _, name in ipairs(redis.call('HKEYS', writes)) do freed = freed + #name + redis.call('HSTRLEN', writes, name) end
  if deletes then
    redis.call('UNLINK', writes)
    redis.call('ZREM', index, member)
  end
end
for i = members_end + 1, values_end do delete_field(ARGV[i]) end
if deletes then
  for i = values_end + 1, values_end + ARGV[10] do redis.call('SREM', run_before .. ARGV[i] .. run_after, thread) end
  if redis.call('HINCRBY', state, 'n', -freed) < 0 then redis.call('HSET', state, 'n', 0) end
end
return freed
