--! needs: clock deliveries keys target_breaker
-- Targets of deliveries: an endpoint, or the origin that a run's own webhook names. All processes together make few
-- calls of one target at once, and none while its circuit breaker is open (`target_breaker.lua`). Deliveries that must
-- wait are parked beside the queue, so that those of a slow target do not delay others.
--
-- With one shard the calls and the health of a target are counted here. With several, the shard of the targets counts
-- them for all (`target_enter.lua`, `target_leave.lua`).

-- When a target with parked deliveries is looked at again, if no call of it has ended before.
local LOOK_AGAIN_MS = 1000
-- The same with several shards: what is looked at must ask the shard of the targets.
local ASK_AGAIN_MS = 5000
local TARGETS_AT_ONCE = 20
-- Origins are forgotten when they have not failed for so long.
local ORIGIN_TTL_S = 7 * 24 * 3600

local function is_endpoint(target)
  return string.sub(target, 1, 7) ~= 'origin:'
end

-- The target of a delivery, or nil if nothing limits its calls.
local function target_of(endpoint_id, origin)
  return endpoint_id or origin and 'origin:' .. origin or nil
end

-- The key of the record of a target.
local function target_record(target)
  local origin = string.match(target, '^origin:(.+)$')
  return origin and key('webhook_origin', origin) or key('webhook_endpoint', target)
end

-- How many calls of the target are made at once. `concurrency` is for a target that has no number of its own.
local function most_calls(target, concurrency)
  return is_endpoint(target) and redis.call('HGET', key('webhook_endpoint', target), 'concurrency') or concurrency
end

-- `free_calls` of a target that is counted in this shard.
local function free_calls_here(target, concurrency)
  return free_calls(target_record(target), key('delivery_calls', target), most_calls(target, concurrency))
end

-- When a target is looked at again that has no free call now.
local function look_again_ms()
  return now_ms + (is_only_shard() and LOOK_AGAIN_MS or ASK_AGAIN_MS)
end

-- Takes a due delivery from the queue until its target has a free call.
local function park_behind_others(queue, target, name, due_ms)
  redis.call('ZREM', queue, name)
  redis.call('ZADD', key('parked_deliveries', target), due_ms, name)
end

-- The same, if it may be the first. `look_ms`: when the target is looked at again, or nil.
local function park_delivery(queue, target, name, due_ms, look_ms)
  park_behind_others(queue, target, name, due_ms)
  redis.call('ZADD', key('parked_targets'), 'LT', integer_text(look_ms or look_again_ms()), target)
end

-- With several shards, whether a due delivery waits behind others of its target that are parked here: only those that
-- were unparked ask for a free call.
local function must_wait(target, is_unparked)
  return not is_unparked and redis.call('EXISTS', key('parked_deliveries', target)) == 1
end

-- Puts up to `most` parked deliveries of a target into their queue. Those that waited longest come first. `look_ms`:
-- when the others are looked at, or nil. Returns the number.
local function unpark_deliveries(target, most, look_ms)
  local parked = key('parked_deliveries', target)
  local waiting = most > 0 and redis.call('ZRANGE', parked, 0, most - 1, 'WITHSCORES') or {}
  for i = 1, #waiting, 2 do
    redis.call('ZREM', parked, waiting[i])
    local delivery = key('delivery', waiting[i])
    if not is_only_shard() then redis.call('HSET', delivery, 'unparked', 1) end
    local queue = key(delivery_queue(delivery))
    redis.call('ZADD', queue, waiting[i + 1], waiting[i])
  end
  if redis.call('EXISTS', parked) == 1 then
    redis.call('ZADD', key('parked_targets'), integer_text(look_ms or look_again_ms()), target)
  else
    redis.call('ZREM', key('parked_targets'), target)
  end
  return #waiting / 2
end

-- Puts as many parked deliveries of a target into their queue as calls are free.
local function unpark_for_free_calls(target, concurrency)
  local free, open_until_ms = free_calls_here(target, concurrency)
  unpark_deliveries(target, free, open_until_ms)
end

-- Looks at the targets whose time has come. With several shards one delivery of each asks whether there is a free call;
-- when it has ended, the others follow.
local function unpark_due_targets(concurrency)
  local due = redis.call('ZRANGEBYSCORE', key('parked_targets'), '-inf', integer_text(now_ms), 'LIMIT', 0,
    TARGETS_AT_ONCE)
  for _, target in ipairs(due) do
    if is_only_shard() then
      unpark_for_free_calls(target, concurrency)
    else
      unpark_deliveries(target, 1)
    end
  end
end

-- Stores what a try says about its target, which is counted in this shard: see `note_outcome`.
local function note_outcome_here(target, args)
  local record = target_record(target)
  if is_endpoint(target) and redis.call('EXISTS', record) == 0 then return end
  local reason = note_outcome(record, args)
  if args.target == 'failed' and not is_endpoint(target) then redis.call('EXPIRE', record, ORIGIN_TTL_S) end
  return reason
end
