-- Plain commands of a caller, executed inside a script.

-- Executes the commands in ARGV from index `first` to the end. Each command is its count of words, then its words.
local function run_commands(first)
  local index = first
  while index <= #ARGV do
    local count = tonumber(ARGV[index])
    redis.call(unpack(ARGV, index + 1, index + count))
    index = index + 1 + count
  end
end
