--! needs: clock deliveries keys
-- The targets of deliveries: an endpoint, or the origin that a run's own webhook names. All processes together make few
-- calls of one target at once, and none while its circuit breaker is open. Deliveries that must wait are parked beside
-- the queue, so that those of a slow target do not delay others.
--
-- The record of a target has the calls that failed in a row (`failures`), since when (`failing_since_us`) and until
-- when nothing is called (`open_until_us`). After `BREAKER_FAILURES` failures one call at a time is made, as a probe.

local BREAKER_FAILURES = 5
local FIRST_OPEN_US = 10 * 1000000
local LONGEST_OPEN_US = 600 * 1000000
-- When a target with parked deliveries is looked at again, if no call of it has ended before.
local LOOK_AGAIN_MS = 1000
local TARGETS_AT_ONCE = 20
-- Origins are forgotten when they have not failed for so long.
local ORIGIN_TTL_S = 7 * 24 * 3600

local function is_endpoint(target)
  return string.sub(target, 1, 7) ~= 'origin:'
end

-- The key of the record of a target.
local function target_record(target)
  local origin = string.match(target, '^origin:(.+)$')
  return origin and key('webhook_origin', origin) or key('webhook_endpoint', target)
end

-- How many more calls of the target may begin now, and until when (in ms) there are none, if the breaker is open.
-- `concurrency` is for a target that has none of its own.
local function free_calls(target, concurrency)
  local record = target_record(target)
  local fields = redis.call('HMGET', record, 'failures', 'open_until_us')
  local open_until_us = tonumber(fields[2] or 0)
  if open_until_us > now_us then return 0, math.ceil(open_until_us / 1000) end
  local calls = key('delivery_calls', target)
  redis.call('ZREMRANGEBYSCORE', calls, '-inf', integer_text(now_ms))
  local most = 1
  if tonumber(fields[1] or 0) < BREAKER_FAILURES then
    most = is_endpoint(target) and redis.call('HGET', key('webhook_endpoint', target), 'concurrency') or concurrency
  end
  return math.max(0, tonumber(most) - redis.call('ZCARD', calls))
end

-- Takes a due delivery from the queue until its target has a free call.
local function park_delivery(queue, target, name, due_ms, look_ms)
  redis.call('ZREM', queue, name)
  redis.call('ZADD', key('parked_deliveries', target), due_ms, name)
  redis.call('ZADD', key('parked_targets'), 'LT', integer_text(look_ms or now_ms + LOOK_AGAIN_MS), target)
end

-- Puts as many parked deliveries of a target into their queue as calls are free. Those that waited longest come first.
local function unpark_deliveries(target, concurrency)
  local parked = key('parked_deliveries', target)
  local free, open_until_ms = free_calls(target, concurrency)
  local waiting = free > 0 and redis.call('ZRANGE', parked, 0, free - 1, 'WITHSCORES') or {}
  for i = 1, #waiting, 2 do
    redis.call('ZREM', parked, waiting[i])
    local queue = key(delivery_queue(key('delivery', waiting[i])))
    redis.call('ZADD', queue, waiting[i + 1], waiting[i])
  end
  if redis.call('EXISTS', parked) == 1 then
    redis.call('ZADD', key('parked_targets'), integer_text(open_until_ms or now_ms + LOOK_AGAIN_MS), target)
  else
    redis.call('ZREM', key('parked_targets'), target)
  end
end

-- Looks at the targets whose time has come.
local function unpark_due_targets(concurrency)
  local due = redis.call('ZRANGEBYSCORE', key('parked_targets'), '-inf', integer_text(now_ms), 'LIMIT', 0,
    TARGETS_AT_ONCE)
  for _, target in ipairs(due) do unpark_deliveries(target, concurrency) end
end

-- Stores that a call of the target succeeded.
local function target_answered(target)
  local record = target_record(target)
  redis.call('HDEL', record, 'failures', 'failing_since_us', 'open_until_us')
end

-- Stores that a call of the target failed, and opens its breaker after several. `wait_ms`: for so long the target wants
-- no call, or nil. Returns the failures in a row, and since when in µs.
local function target_failed(target, wait_ms)
  local record = target_record(target)
  if is_endpoint(target) and redis.call('EXISTS', record) == 0 then return 0, now_us end
  local failures = redis.call('HINCRBY', record, 'failures', 1)
  redis.call('HSETNX', record, 'failing_since_us', now_us)
  local fields = redis.call('HMGET', record, 'failing_since_us', 'open_until_us')
  local open_until_us = tonumber(fields[2] or 0)
  local until_us = wait_ms and now_us + wait_ms * 1000 or 0
  if failures >= BREAKER_FAILURES and open_until_us <= now_us then
    until_us = math.max(until_us, now_us + math.min(FIRST_OPEN_US * 2 ^ (failures - BREAKER_FAILURES), LONGEST_OPEN_US))
  end
  if until_us > open_until_us then redis.call('HSET', record, 'open_until_us', until_us) end
  if not is_endpoint(target) then redis.call('EXPIRE', record, ORIGIN_TTL_S) end
  return failures, tonumber(fields[1])
end
