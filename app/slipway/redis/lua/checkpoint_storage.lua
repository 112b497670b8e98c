--! repeatable: yes
--! shard: thread
-- Counts the bytes of a thread's checkpoints, as the byte budget does.
--
-- KEYS: index; state.
-- ARGV: prefix of the pending-writes keys.
-- Reply: {checkpoints, their bytes, pending writes, their bytes, then for each channel: name, values, bytes}.
-- Atomic: Changes nothing.
-- Repeatable: Yes: it only reads.

local checkpoints, checkpoint_bytes, writes, write_bytes = 0, 0, 0, 0
local channels, order = {}, {}
for _, name in ipairs(redis.call('HKEYS', KEYS[2])) do
  local kind, size = string.sub(name, 1, 1), #name + redis.call('HSTRLEN', KEYS[2], name)
  if kind == 'c' then
    checkpoints, checkpoint_bytes = checkpoints + 1, checkpoint_bytes + size
  elseif kind == 'b' then
    local channel = string.match(name, '^b[^%z]*%z([^%z]*)%z')
    if not channels[channel] then
      channels[channel] = {0, 0}
      order[#order + 1] = channel
    end
    channels[channel][1], channels[channel][2] = channels[channel][1] + 1, channels[channel][2] + size
  end
end
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local name = ARGV[1] .. member
  for _, field in ipairs(redis.call('HKEYS', name)) do
    if field ~= 'dictionary' then writes = writes + (tonumber(string.match(field, '^joined (%d+)$')) or 1) end
    write_bytes = write_bytes + #field + redis.call('HSTRLEN', name, field)
  end
end
local answer = {checkpoints, checkpoint_bytes, writes, write_bytes}
for _, channel in ipairs(order) do
  answer[#answer + 1] = channel
  answer[#answer + 1] = channels[channel][1]
  answer[#answer + 1] = channels[channel][2]
end
return answer
