--! repeatable: yes
--! shard: thread
-- Reads what the ancestors of a checkpoint contribute to delta channels: for each channel the writes of every
-- ancestor, nearest first, up to the nearest ancestor that has a value of the channel.
--
-- KEYS: index; state.
-- ARGV: prefix of the pending-writes keys; namespace; checkpoint ('' for the latest); the ancestor to continue at (''
--   for the parent); most bytes of a page; the channels. Writes that were joined may belong to other channels too.
-- Reply: {the ancestor to continue at ('' at the end), one entry for each ancestor: {{task and index, write, ...},
--   {channel, value, ...}, values with which the joined writes are compressed}}.
-- Atomic: Changes nothing.
-- Repeatable: Yes: it only reads.

local index, state = KEYS[1], KEYS[2]
local writes_prefix, namespace, page_bytes = ARGV[1], ARGV[2], tonumber(ARGV[5])

local function read_head(id)
  local record = redis.call('HGET', state, 'c' .. namespace .. '\0' .. id)
  if not record then return nil end
  local _, head = cmsgpack.unpack_one(record, 4)
  return head
end

local function channel_of(write)
  local _, channel = cmsgpack.unpack_one(write, 1)
  return channel
end

local at = ARGV[4]
if at == '' then
  local head
  if ARGV[3] ~= '' then
    head = read_head(ARGV[3])
  else
    -- the newest member may have pending writes only, because its checkpoint is not stored yet
    local top = '(' .. namespace .. '\1'
    while not head do
      local member = redis.call('ZREVRANGEBYLEX', index, top, '[' .. namespace .. '\0', 'LIMIT', 0, 1)[1]
      if not member then break end
      head = read_head(string.sub(member, #namespace + 2))
      top = '(' .. member
    end
  end
  if not head then return {'', {}} end
  at = head[2]
end

local wanted = {}
for i = 6, #ARGV do wanted[ARGV[i]] = true end
local found, bytes = {}, 0
while at ~= '' and next(wanted) and bytes < page_bytes do
  local head = read_head(at)
  if not head then
    at = ''
    break
  end
  local writes, values, similar = {}, {}, {}
  local fields = redis.call('HGETALL', writes_prefix .. namespace .. '\0' .. at)
  for i = 1, #fields, 2 do
    if fields[i] == 'dictionary' then similar = redis.call('HMGET', state, unpack(cmsgpack.unpack(fields[i + 1]))) end
    if not string.find(fields[i], '\0', 1, true) or wanted[channel_of(fields[i + 1])] then
      writes[#writes + 1] = fields[i]
      writes[#writes + 1] = fields[i + 1]
      bytes = bytes + #fields[i + 1]
    end
  end
  for _, value in ipairs(similar) do bytes = bytes + (value and #value or 0) end
  for i = 1, #head[1], 2 do
    local channel, version = head[1][i], head[1][i + 1]
    if wanted[channel] then
      if type(version) == 'number' then version = string.format('%.17g', version) end
      local value = redis.call('HGET', state, 'b' .. namespace .. '\0' .. channel .. '\0' .. version)
      if value then
        values[#values + 1] = channel
        values[#values + 1] = value
        bytes = bytes + #value
        wanted[channel] = nil
      end
    end
  end
  found[#found + 1] = {writes, values, similar}
  bytes = bytes + 100
  at = head[2]
end
return {next(wanted) and at or '', found}
