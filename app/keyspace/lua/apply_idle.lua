-- Run a group of commands unless a run of the thread is pending or running.
-- KEYS: thread. ARGV: each command as its length, then its words.
if redis.call('HGET', KEYS[1], 'status') == 'busy' then return 'busy' end
local at = 1
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + words))
  at = at + 1 + words
end
return 'ok'
