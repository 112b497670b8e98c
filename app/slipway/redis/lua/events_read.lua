--! repeatable: yes
--! shard: thread
-- Reads a page of the event log of a run.
--
-- KEYS: the event log.
-- ARGV: where to start: an id, an id after '(' to exclude it, or '-'; the most entries of a page; most bytes of a page.
-- Reply: {1 if the page has the last entry of the log, else 0; entries, as XRANGE returns them}. A page has one entry
--   at least if there is one. It may exceed its bytes by as many entries as came before, because the size of an entry
--   is known when it is read.
-- Atomic: Changes nothing.
-- Repeatable: Yes: it only reads.

local start, most, most_bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local found, bytes, step = {}, 0, 8
while #found < most and bytes < most_bytes do
  step = math.min(step, most - #found)
  local entries = redis.call('XRANGE', KEYS[1], start, '+', 'COUNT', step)
  for _, entry in ipairs(entries) do
    found[#found + 1] = entry
    for i = 2, #entry[2], 2 do bytes = bytes + #entry[2][i] end
  end
  if #entries < step then return {1, found} end
  start, step = '(' .. entries[step][1], 2 * step
end
return {0, found}
