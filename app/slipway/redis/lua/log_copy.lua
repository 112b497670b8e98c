--! repeatable: no
--! shard: thread
-- Appends entries to a copy of a stream, with the ids that they have there.
--
-- KEYS: the copy.
-- ARGV: '1' to begin the copy; ms until the copy expires if nothing follows; for each entry its id, how many names and
--   values follow, and these.
-- Reply: 'ok'.
-- Atomic: All of it.
-- Repeatable: No: an id can be added once.

if ARGV[1] == '1' then redis.call('DEL', KEYS[1]) end
local at = 3
while at <= #ARGV do
  local count = tonumber(ARGV[at + 1])
  redis.call('XADD', KEYS[1], ARGV[at], unpack(ARGV, at + 2, at + 1 + count))
  at = at + 2 + count
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 'ok'
