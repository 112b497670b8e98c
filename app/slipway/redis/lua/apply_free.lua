-- Run a group of commands. ARGV: each command as its length, then its words.
local at = 1
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + words))
  at = at + 1 + words
end
return 'ok'
