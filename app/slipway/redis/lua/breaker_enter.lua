--! needs: clock keys
--! repeatable: yes
--! shard: processes
-- Asks a circuit breaker whether a call may be made. While it is open it permits none; when it has been open long
-- enough, it permits exactly one call, the probe, and no other one until the probe has left or its time is over.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `breaker`, `call` (an id of this call), `probe_ms` (after which another call
--   may be the probe), `keep_ms` (how long an open breaker is kept that nobody calls).
-- Reply: {'closed', failures on record}, {'probe', failures in a row}, or {'open', failures in a row, ms until the next
--   call may be permitted, class of the last failure}.
-- Atomic: The check of the breaker and the choice of the probe.
-- Repeatable: Yes: the probe is permitted again.

local args = cmsgpack.unpack(ARGV[2])
local record = key('breaker', args.breaker)
local fields = redis.call('HMGET', record, 'open_until_ms', 'count', 'probe', 'probe_until_ms', 'problem')
local open_until_ms, count = tonumber(fields[1]), tonumber(fields[2]) or 0
if not open_until_ms then return {'closed', count} end
if now_ms < open_until_ms then return {'open', count, integer_text(open_until_ms - now_ms), fields[5]} end
local probe_until_ms = tonumber(fields[4])
if probe_until_ms and now_ms < probe_until_ms and fields[3] ~= args.call then
  return {'open', count, integer_text(probe_until_ms - now_ms), fields[5]}
end
redis.call('HSET', record, 'probe', args.call, 'probe_until_ms', integer_text(now_ms + args.probe_ms))
local kept_ms = args.probe_ms + args.keep_ms
redis.call('PEXPIRE', record, integer_text(kept_ms))
redis.call('ZADD', key('breakers'), integer_text(now_ms + kept_ms), args.breaker)
return {'probe', count}
