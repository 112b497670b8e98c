-- Plain commands of a caller, executed inside a script. See `redis/redis_commands.py`.

-- Some commands of a checkpointer are executed here instead of by Redis. Each function gets the range of its arguments
-- in ARGV.
local own_commands = {}

-- Both store values, and add to a counter the bytes by which the stored data grew, so that a repetition counts
-- nothing. Each value is preceded by 'once' (an existing value stays) or 'replace'.

-- STORE_FIELDS: hash, hash of the counter and its field, then for each value: 'once' or 'replace', field, value.
function own_commands.STORE_FIELDS(first, last)
  local hash, grown = ARGV[first], 0
  for i = first + 3, last, 3 do
    local field, value = ARGV[i + 1], ARGV[i + 2]
    if ARGV[i] == 'once' then
      if redis.call('HSETNX', hash, field, value) == 1 then grown = grown + #field + #value end
    else
      local replaced = redis.call('HSTRLEN', hash, field)
      if redis.call('HSET', hash, field, value) == 1 then grown = grown + #field end
      grown = grown + #value - replaced
    end
  end
  if grown ~= 0 then redis.call('HINCRBY', ARGV[first + 1], ARGV[first + 2], grown) end
end

-- STORE_DOCUMENTS: counter, then for each document: 'once' or 'replace', key, JSON.
function own_commands.STORE_DOCUMENTS(first, last)
  local grown = 0
  for i = first + 1, last, 3 do
    local name, document = ARGV[i + 1], ARGV[i + 2]
    if ARGV[i] == 'once' then
      if redis.call('JSON.SET', name, '$', document, 'NX') then grown = grown + #document end
    else
      grown = grown + #document - #(redis.call('JSON.GET', name) or '')
      redis.call('JSON.SET', name, '$', document)
    end
  end
  if grown ~= 0 then redis.call('INCRBY', ARGV[first], grown) end
end

-- STORE_METERED: run, what its chain has used of models and tools, its revision. A text with a higher revision stays.
function own_commands.STORE_METERED(first)
  local stored = redis.call('HGET', ARGV[first], 'metered')
  local revision = tonumber(string.match(stored or '', '^%[(%d+)')) or 0
  if revision < tonumber(ARGV[first + 2]) then redis.call('HSET', ARGV[first], 'metered', ARGV[first + 1]) end
end

-- Executes the commands in ARGV from index `first` to the end. Each command is its count of words, then its words.
local function execute_commands(first)
  local index = first
  while index <= #ARGV do
    local last = index + tonumber(ARGV[index])
    local execute = own_commands[ARGV[index + 1]]
    if execute then
      execute(index + 2, last)
    else
      redis.call(unpack(ARGV, index + 1, last))
    end
    index = last + 1
  end
end
