--! needs: clock
-- How many calls a target of deliveries gets, and its circuit breaker. The caller names two keys: `record`, the hash
-- with its health, and `calls`, the sorted set of its calls by the time in ms when their leases end.
--
-- The record has the calls that failed in a row (`failures`), since when (`failing_since_us`) and until when nothing
-- is called (`open_until_us`). After `BREAKER_FAILURES` failures one call at a time is made, as a probe.

local BREAKER_FAILURES = 5
local FIRST_OPEN_US = 10 * 1000000
local LONGEST_OPEN_US = 600 * 1000000

-- How many more calls of the target may begin now, and until when (in ms) there are none, if the breaker is open.
-- `most`: how many it gets at once while it is closed.
local function free_calls(record, calls, most)
  local fields = redis.call('HMGET', record, 'failures', 'open_until_us')
  local open_until_us = tonumber(fields[2] or 0)
  if open_until_us > now_us then return 0, math.ceil(open_until_us / 1000) end
  redis.call('ZREMRANGEBYSCORE', calls, '-inf', integer_text(now_ms))
  if tonumber(fields[1] or 0) >= BREAKER_FAILURES then most = 1 end
  return math.max(0, tonumber(most) - redis.call('ZCARD', calls))
end

-- Stores that a call of the target failed, and opens its breaker after several. `wait_ms`: for so long the target wants
-- no call, or nil. Returns the failures in a row, and since when in µs.
local function target_failed(record, wait_ms)
  local failures = redis.call('HINCRBY', record, 'failures', 1)
  redis.call('HSETNX', record, 'failing_since_us', now_us)
  local fields = redis.call('HMGET', record, 'failing_since_us', 'open_until_us')
  local open_until_us = tonumber(fields[2] or 0)
  local until_us = wait_ms and now_us + wait_ms * 1000 or 0
  if failures >= BREAKER_FAILURES and open_until_us <= now_us then
    until_us = math.max(until_us, now_us + math.min(FIRST_OPEN_US * 2 ^ (failures - BREAKER_FAILURES), LONGEST_OPEN_US))
  end
  if until_us > open_until_us then redis.call('HSET', record, 'open_until_us', until_us) end
  return failures, tonumber(fields[1])
end

-- Stores what a try says about its target. `args`: `target` (`answered` or `failed`; nil if the try says nothing),
-- `target_wait_ms` (for so long it wants no call, or nil), `gone` (whether its endpoint must be disabled),
-- `disable_after_us` and `disable_failures` (when a failing endpoint is disabled). Returns why the endpoint must be
-- disabled, or nil.
local function note_outcome(record, args)
  local reason
  if args.target == 'answered' then
    redis.call('HDEL', record, 'failures', 'failing_since_us', 'open_until_us')
  elseif args.target == 'failed' then
    local failures, since_us = target_failed(record, args.target_wait_ms)
    local failing_us = now_us - since_us
    if args.disable_after_us and failures >= args.disable_failures and failing_us >= args.disable_after_us then
      reason = 'its calls have failed for ' .. math.floor(failing_us / 3600000000) .. ' hours'
    end
  end
  return args.gone and 'it responded 410 Gone' or reason
end
