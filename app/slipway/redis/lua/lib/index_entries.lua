-- Entries of indexes: {key of the sorted set, member, score} of each.

local function add_entries(entries)
  for _, entry in ipairs(entries) do redis.call('ZADD', entry[1], entry[3], entry[2]) end
end

local function remove_entries(entries)
  for _, entry in ipairs(entries) do redis.call('ZREM', entry[1], entry[2]) end
end

-- Whether all entries are stored.
local function are_stored(entries)
  for _, entry in ipairs(entries) do
    if tonumber(redis.call('ZSCORE', entry[1], entry[2])) ~= tonumber(entry[3]) then return false end
  end
  return true
end

-- Whether one of the entries is this member of the set.
local function has_entry(entries, set, member)
  for _, entry in ipairs(entries) do
    if entry[1] == set and entry[2] == member then return true end
  end
  return false
end
