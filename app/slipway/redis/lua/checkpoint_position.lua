--! repeatable: yes
--! shard: thread
-- Reads what the latest checkpoint of a namespace says about where its thread is, without large values of its state.
--
-- KEYS: index; state.
-- ARGV: prefix of the pending-writes keys; namespace; the most bytes of a value of the state that is read.
-- Reply: {} without a checkpoint, else {checkpoint, record, one entry for each channel of the record: nil without a
--   value, the value if it is small, of a join or of Sends, else its bytes, {task and index, channel, path, the value
--   of a Send or '', ...}}.
-- Atomic: Changes nothing.
-- Repeatable: Yes: it only reads.

local index, state, writes_prefix = KEYS[1], KEYS[2], ARGV[1]
local namespace, small = ARGV[2], tonumber(ARGV[3])

-- The newest member may have pending writes only, because its checkpoint is not stored yet.
local function newest()
  local top = '(' .. namespace .. '\1'
  while true do
    local member = redis.call('ZREVRANGEBYLEX', index, top, '[' .. namespace .. '\0', 'LIMIT', 0, 1)[1]
    if not member then return nil end
    local record = redis.call('HGET', state, 'c' .. member)
    if record then return member, record end
    top = '(' .. member
  end
end

local function is_needed(channel)
  return channel == '__pregel_tasks' or string.sub(channel, 1, 5) == 'join:'
end

local function values_of(versions)
  local values = {}
  for i = 1, #versions, 2 do
    local channel, version = versions[i], versions[i + 1]
    if type(version) == 'number' then version = string.format('%.17g', version) end
    local field = 'b' .. namespace .. '\0' .. channel .. '\0' .. version
    local bytes = redis.call('HSTRLEN', state, field)
    local value = bytes > 0 and bytes
    if bytes > 0 and (bytes <= small or is_needed(channel)) then value = redis.call('HGET', state, field) end
    values[#values + 1] = value
  end
  return values
end

local function writes_of(member)
  local writes, fields = {}, redis.call('HGETALL', writes_prefix .. member)
  for i = 1, #fields, 2 do
    if string.find(fields[i], '\0', 1, true) then -- others belong to supersteps that have ended
      local channel, path, value
      local at = 1 -- behind the header of the array
      at, channel = cmsgpack.unpack_one(fields[i + 1], at)
      at, path = cmsgpack.unpack_one(fields[i + 1], at)
      value = ''
      if channel == '__pregel_tasks' then at, value = cmsgpack.unpack_one(fields[i + 1], at) end
      for _, part in ipairs({fields[i], channel, path, value}) do writes[#writes + 1] = part end
    end
  end
  return writes
end

local member, record = newest()
if not member then return {} end
local _, head = cmsgpack.unpack_one(record, 4)
return {string.sub(member, #namespace + 2), record, values_of(head[1]), writes_of(member)}
