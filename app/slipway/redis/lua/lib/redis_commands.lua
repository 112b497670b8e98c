-- Plain commands of a caller, executed inside a script.

-- Some commands of a checkpointer are executed here instead of by Redis. Each function gets the range of its arguments
-- in ARGV.
local own_commands = {}

-- A write group often changes the same key several times. These changes become one command for each key, which is
-- executed after all other commands.
local merged = {}

-- Lua can pass a few thousand words.
local MOST_WORDS = 2000

local function merged_command(verb, name)
  local command = merged[name]
  if command and #command > MOST_WORDS then
    redis.call(unpack(command))
    command = nil
  end
  merged[name] = command or {verb, name}
  return merged[name]
end

-- ADD_TO_SET: set, member.
function own_commands.ADD_TO_SET(first)
  local command = merged_command('SADD', ARGV[first])
  command[#command + 1] = ARGV[first + 1]
end

-- ADD_TO_INDEX: sorted set, member. All members have the score 0.
function own_commands.ADD_TO_INDEX(first)
  local command = merged_command('ZADD', ARGV[first])
  command[#command + 1], command[#command + 2] = 0, ARGV[first + 1]
end

local function count_bytes(hash, field, bytes)
  local command = merged_command('HINCRBY', hash)
  command[3], command[4] = field, (command[4] or 0) + bytes
end

-- COUNT_BYTES: hash of the counter and its field, bytes.
function own_commands.COUNT_BYTES(first)
  count_bytes(ARGV[first], ARGV[first + 1], ARGV[first + 2])
end

-- The next two store values, and add to a counter the bytes by which the stored data grew, so that a repetition counts
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
  if grown ~= 0 then count_bytes(ARGV[first + 1], ARGV[first + 2], grown) end
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
  for _, command in pairs(merged) do redis.call(unpack(command)) end
end
