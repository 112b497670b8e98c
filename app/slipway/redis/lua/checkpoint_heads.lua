--! repeatable: yes
--! shard: thread
-- Reads what decides which checkpoints of a thread are kept, without values and pending writes.
--
-- KEYS: index; state.
-- ARGV: prefix of the pending-writes keys; position of the first checkpoint; how many are read.
-- Reply: {count of all checkpoints, {member, record ('' if only pending writes are stored), whether an interrupt or an
--   answer is among its pending writes: 1 or 0, {delta channels that it has a value of}, packed names of the values
--   with which its joined writes are compressed or ''}, ...}.
-- Atomic: One page. The count tells whether checkpoints were added between two pages.
-- Repeatable: Yes: it only reads.

local index, state, writes_prefix = KEYS[1], KEYS[2], ARGV[1]
local reply = {redis.call('ZCARD', index)}

-- The delta channels of which the checkpoint has a value.
local function stored_deltas(member, record)
  local stored, is_delta, namespace = {}, {}, string.match(member, '^[^%z]*')
  local _, head = cmsgpack.unpack_one(record, 4)
  for _, channel in ipairs(head[4]) do is_delta[channel] = true end
  for i = 1, next(is_delta) and #head[1] or 0, 2 do
    local channel, version = head[1][i], head[1][i + 1]
    if type(version) == 'number' then version = string.format('%.17g', version) end
    local field = 'b' .. namespace .. '\0' .. channel .. '\0' .. version
    if is_delta[channel] and redis.call('HEXISTS', state, field) == 1 then stored[#stored + 1] = channel end
  end
  return stored
end

for _, member in ipairs(redis.call('ZRANGE', index, ARGV[2], ARGV[2] + ARGV[3] - 1)) do
  local record, interrupted = redis.call('HGET', state, 'c' .. member) or '', 0
  for _, write in ipairs(redis.call('HKEYS', writes_prefix .. member)) do
    if string.match(write, '%z%-[34]$') then interrupted = 1 end -- LangGraph's positions of interrupts and answers
  end
  reply[#reply + 1] = {member, record, interrupted, record ~= '' and stored_deltas(member, record) or {},
    redis.call('HGET', writes_prefix .. member, 'dictionary') or ''}
end
return reply
