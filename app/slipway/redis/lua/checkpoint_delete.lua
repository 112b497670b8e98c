--! repeatable: yes
--! shard: thread
-- Remove checkpoints of a thread, at most `limit` of them; with the last one everything goes.
-- KEYS: index, state, and, where only a removed thread's leftovers may go, the thread's record: nothing is done while
--   it is there (-1).
-- ARGV: prefix of the writes' keys, thread, what leads and trails a run's id in the name of its set, limit.
-- Returns how many are left.
local index, state, limit = KEYS[1], KEYS[2], tonumber(ARGV[5])
if KEYS[3] and redis.call('EXISTS', KEYS[3]) == 1 then return -1 end
local members = redis.call('ZRANGE', index, 0, limit - 1)
for _, member in ipairs(members) do
  local record = redis.call('HGET', state, 'c' .. member)
  -- a record that is damaged must not keep the id from ever being free again
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
