--! repeatable: yes
--! shard: thread
-- Reads checkpoints with their channel values and pending writes.
--
-- KEYS: index; state.
-- ARGV: prefix of the pending-writes keys; 'all' or 'records' (without values and writes); most bytes of a page; then
--   either 'range', namespace, an id that all must be below ('' for none) and their maximum number, or 'exact'
--   and members of the index.
-- Reply: {bytes of the thread, where to continue ('' at the end; an id, or the number of members read), one entry for
--   each checkpoint: {member, record, values in the order of the record, {task and index, write, ...}, values with
--   which the joined writes are compressed}}.
-- Atomic: Changes nothing.
-- Repeatable: Yes: it only reads.

local index, state = KEYS[1], KEYS[2]
local writes_prefix, whole, page_bytes = ARGV[1], ARGV[2] == 'all', tonumber(ARGV[3])
local found, bytes = {}, 0

local function values_of(namespace, versions)
  local values = {}
  for at = 1, #versions, 2000 do
    local fields = {}
    for i = at, math.min(at + 1998, #versions), 2 do
      local version = versions[i + 1]
      if type(version) == 'number' then version = string.format('%.17g', version) end
      fields[#fields + 1] = 'b' .. namespace .. '\0' .. versions[i] .. '\0' .. version
    end
    for _, value in ipairs(redis.call('HMGET', state, unpack(fields))) do
      values[#values + 1] = value
      if value then bytes = bytes + #value end
    end
  end
  return values
end

local function similar_values(writes)
  local values = {}
  for i = 1, #writes, 2 do
    if writes[i] == 'dictionary' then values = redis.call('HMGET', state, unpack(cmsgpack.unpack(writes[i + 1]))) end
  end
  for _, value in ipairs(values) do bytes = bytes + (value and #value or 0) end
  return values
end

local function take(member)
  local record = redis.call('HGET', state, 'c' .. member)
  if not record then return false end
  bytes = bytes + #record
  local entry = {member, record}
  if whole then
    local _, head = cmsgpack.unpack_one(record, 4)
    entry[3] = values_of(string.match(member, '^[^%z]*'), head[1])
    entry[4] = redis.call('HGETALL', writes_prefix .. member)
    for _, part in ipairs(entry[4]) do bytes = bytes + #part end
    entry[5] = similar_values(entry[4])
  end
  found[#found + 1] = entry
  return true
end

local goes_on = ''
if ARGV[4] == 'exact' then
  for i = 5, #ARGV do
    if bytes >= page_bytes and #found > 0 then
      goes_on = tostring(i - 5)
      break
    end
    take(ARGV[i])
  end
else
  local namespace, below, wanted = ARGV[5], ARGV[6], tonumber(ARGV[7])
  local top = below == '' and '(' .. namespace .. '\1' or '(' .. namespace .. '\0' .. below
  while true do
    local left = wanted - #found
    local members = redis.call('ZREVRANGEBYLEX', index, top, '[' .. namespace .. '\0', 'LIMIT', 0, left)
    for _, member in ipairs(members) do
      if bytes >= page_bytes and #found > 0 then break end
      take(member)
      top = '(' .. member
    end
    if #members < left and bytes < page_bytes then break end
    if #found >= wanted or bytes >= page_bytes then
      goes_on = string.sub(top, #namespace + 3)
      break
    end
  end
end
return {redis.call('HGET', state, 'n') or '0', goes_on, found}
