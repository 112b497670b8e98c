-- Lists of the fields of a hash: name, value, name, value.

local function joined(first, second)
  if #first == 0 then return second end
  if #second == 0 then return first end
  local all = {}
  for _, list in ipairs({first, second}) do
    for _, item in ipairs(list) do all[#all + 1] = item end
  end
  return all
end

local MOST_AT_ONCE = 2000

-- Fields, as a list of names and values, that the caller stores with others in one HSET. Lua cannot pass a very long
-- list: its fields are stored now, and the caller gets none.
local function few_fields(hash, fields)
  if #fields <= MOST_AT_ONCE then return fields end
  for first = 1, #fields, MOST_AT_ONCE do
    redis.call('HSET', hash, unpack(fields, first, math.min(first + MOST_AT_ONCE - 1, #fields)))
  end
  return {}
end
