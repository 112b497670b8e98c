-- Remove every checkpoint of a thread.
-- KEYS: index, state. ARGV: prefix of the writes' keys, thread, and what leads and trails a run's id in the name of its set.
local index, state = KEYS[1], KEYS[2]
for _, member in ipairs(redis.call('ZRANGE', index, 0, -1)) do
  local record = redis.call('HGET', state, 'c' .. member)
  if record then
    local _, head = cmsgpack.unpack_one(record, 4)
    if head[3] ~= '' then redis.call('SREM', ARGV[3] .. head[3] .. ARGV[4], ARGV[2]) end
  end
  redis.call('UNLINK', ARGV[1] .. member)
end
redis.call('UNLINK', index, state)
return 'ok'
