--! repeatable: yes
--! shard: thread
-- Finds the event logs of which a process may have missed something.
--
-- KEYS: event logs.
-- ARGV: for each log the id of the last entry that the process has.
-- Reply: the numbers, from 0, of the logs that have a later entry or do not exist.
-- Atomic: Changes nothing.
-- Repeatable: Yes: it only reads.

local behind = {}
for i, position in ipairs(ARGV) do
  local log = KEYS[i]
  if #redis.call('XRANGE', log, '(' .. position, '+', 'COUNT', 1) > 0 or redis.call('EXISTS', log) == 0 then
    behind[#behind + 1] = i - 1
  end
end
return behind
