--! repeatable: yes
--! shard: thread
-- Deletes checkpoints of a thread, a limited number in each call; the last call deletes all keys.
--
-- KEYS: index; state; the thread record, if nothing may be deleted while the thread exists.
-- ARGV: prefix of the pending-writes keys; thread; what precedes and follows a run id in the name of a run's set of
--   threads; limit; '1' if nothing may be deleted while the thread exists.
-- Reply: the number of remaining checkpoints; -1 while the thread exists.
-- Atomic: The checkpoints of one call. A damaged record does not stop the deletion.
-- Repeatable: Yes.

local index, state, limit = KEYS[1], KEYS[2], tonumber(ARGV[5])
if ARGV[6] == '1' and redis.call('EXISTS', KEYS[3]) == 1 then return -1 end
local members = redis.call('ZRANGE', index, 0, limit - 1)
for _, member in ipairs(members) do
  local record = redis.call('HGET', state, 'c' .. member)
  -- a damaged record must not prevent the deletion, or no thread could ever be created under this id again
  local read, _, head = pcall(cmsgpack.unpack_one, record or '', 4)
  if read and type(head) == 'table' and head[3] and head[3] ~= '' then
    redis.call('SREM', ARGV[3] .. head[3] .. ARGV[4], ARGV[2])
  end
  redis.call('UNLINK', ARGV[1] .. member)
end
if #members > 0 then redis.call('ZREMRANGEBYRANK', index, 0, #members - 1) end
local left = redis.call('ZCARD', index)
if left == 0 then redis.call('UNLINK', index, state) end
return left
