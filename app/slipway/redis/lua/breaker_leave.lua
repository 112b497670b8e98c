--! needs: clock keys
--! repeatable: yes
--! shard: processes
-- Records how a call ended that a circuit breaker had permitted. So many failures in a row within the window open the
-- breaker. The probe of an open breaker closes it when it succeeds, and opens it again when it fails.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `breaker`, `call` (as in `breaker_enter`), `outcome` (`succeeded`, `failed`
--   or `unknown`), `problem` (the class of the failure), `most` (failures that open it), `window_ms`, `open_ms`,
--   `keep_ms`.
-- Reply: 'opened', 'closed' or 'unchanged'.
-- Atomic: The count of the failures and the transition.
-- Repeatable: Yes: a failure is counted once for each call.

local args = cmsgpack.unpack(ARGV[2])
local record = key('breaker', args.breaker)
local fields = redis.call('HMGET', record, 'open_until_ms', 'failures', 'probe', 'count')
local is_open, is_probe = fields[1], fields[3] == args.call

local function keep(for_ms)
  redis.call('PEXPIRE', record, integer_text(for_ms))
  redis.call('ZADD', key('breakers'), integer_text(now_ms + for_ms), args.breaker)
end

local function open(count)
  redis.call('HDEL', record, 'failures', 'probe', 'probe_until_ms')
  redis.call('HSET', record, 'count', integer_text(count), 'open_until_ms', integer_text(now_ms + args.open_ms),
    'last_failed_ms', integer_text(now_ms), 'problem', args.problem)
  keep(args.open_ms + args.keep_ms)
  redis.call('HINCRBY', key('breaker_openings'), args.breaker, 1)
  return 'opened'
end

if args.outcome == 'unknown' then
  if is_probe then redis.call('HDEL', record, 'probe', 'probe_until_ms') end
  return 'unchanged'
end
if args.outcome == 'succeeded' then
  if is_open and not is_probe then return 'unchanged' end
  redis.call('DEL', record)
  redis.call('ZREM', key('breakers'), args.breaker)
  return is_open and 'closed' or 'unchanged'
end
if is_open then return is_probe and open((tonumber(fields[4]) or 0) + 1) or 'unchanged' end

-- each failure is stored as `<ms>:<call>`, the oldest first
local failures = {}
for at_ms, call in string.gmatch(fields[2] or '', '(%d+):(%S+)') do
  if call == args.call then return 'unchanged' end
  if now_ms - at_ms < args.window_ms then failures[#failures + 1] = at_ms .. ':' .. call end
end
failures[#failures + 1] = integer_text(now_ms) .. ':' .. args.call
if #failures >= args.most then
  redis.call('HSETNX', record, 'opened_ms', integer_text(now_ms))
  return open(#failures)
end
redis.call('HSET', record, 'failures', table.concat(failures, ' '), 'count', integer_text(#failures),
  'last_failed_ms', integer_text(now_ms), 'problem', args.problem)
keep(args.window_ms)
return 'unchanged'
