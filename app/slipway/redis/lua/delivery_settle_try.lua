--! needs: clock deliveries delivery_targets keys metrics webhook_subscriptions
--! repeatable: yes
--! shard: thread
-- Stores how a try to deliver a webhook ended.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `delivery_id`, `try` (its number), `outcome` (of the run's webhook),
--   `problem` or nil, `retry_ms` (pause before the next try, nil after the last), `uncounted` (tries so far that made
--   no call, or nil), `most_records`, `keep_s` (how long the delivery stays, if it
--   is not tried again), `target` (`answered` or `failed`; nil if the try says nothing about it), `target_wait_ms` (for
--   so long the target wants no call, or nil), `concurrency`, `gone` (whether the endpoint must be disabled),
--   `disable_after_us` and `disable_failures` (when a failing endpoint is disabled); the record of the try.
-- Reply: {1}, and if the endpoint was disabled the reason; with several shards, if calls of the target are limited: {2,
--   the target, its calls at once, the revision of the endpoint's copy, empty if it is not enabled}, for
--   `target_leave.lua`; {0} if a later try has started.
-- Atomic: The delivery, its queue, its target, and the run's fields about its webhook, if the run still exists.
-- Repeatable: Yes: the repetition changes nothing.

local args = cmsgpack.unpack(ARGV[2])
local delivery = key('delivery', args.delivery_id)
local fields = redis.call('HMGET', delivery, 'tries', 'run_id', 'created_us', 'endpoint_id', 'webhook_origin',
  'delivery_state', 'enqueued_us', 'settled_try')
if fields[1] ~= tostring(args.try) then return {0} end
local target = target_of(fields[4], fields[5])

-- What the shard of the targets needs to know.
local function told_target()
  local state, revision
  if fields[4] then
    state, revision = unpack(redis.call('HMGET', key('webhook_endpoint', fields[4]), 'state', 'revision'))
  end
  return {2, target, tostring(most_calls(target, args.concurrency)), state == 'enabled' and revision or ''}
end

local function settle_target()
  redis.call('ZREM', key('parked_deliveries', target), args.delivery_id) -- if this process was suspended
  if not is_only_shard() then return told_target() end
  redis.call('ZREM', key('delivery_calls', target), args.delivery_id)
  local reason = note_outcome_here(target, args)
  local disabled = reason and fields[4] and disable_endpoint(fields[4], reason)
  unpark_for_free_calls(target, args.concurrency)
  return disabled and {1, reason} or {1}
end

if fields[8] == fields[1] then return target and not is_only_shard() and told_target() or {1} end

local queue, enqueued_us, state = key(delivery_queue(delivery)), fields[7] or now_us, fields[6] or 'pending'
redis.call('HDEL', delivery, 'called_us')
local ended_as = args.outcome == 'delivered' and 'delivered' or 'dead'
count_metric('webhook_tries\31' .. (args.retry_ms and 'retried' or ended_as))
redis.call('HSET', delivery, 'settled_try', args.try)
redis.call('RPUSH', key('delivery_tries', args.delivery_id), ARGV[3])
redis.call('LTRIM', key('delivery_tries', args.delivery_id), -args.most_records, -1)
if args.uncounted then redis.call('HSET', delivery, 'uncounted_tries', args.uncounted) end
if args.problem then
  redis.call('HSET', delivery, 'problem', args.problem)
else
  redis.call('HDEL', delivery, 'problem')
end
if args.retry_ms then
  redis.call('ZADD', queue, integer_text(now_ms + args.retry_ms), args.delivery_id)
  redis.call('HSET', delivery, 'next_try_us', now_us + args.retry_ms * 1000)
else
  redis.call('ZREM', queue, args.delivery_id)
  redis.call('HDEL', delivery, 'next_try_us')
  redis.call('HSET', delivery, 'settled_us', now_us)
  set_delivery_state(args.delivery_id, enqueued_us, state, ended_as)
  redis.call('ZADD', key('deliveries_expiring'), integer_text(now_ms + args.keep_s * 1000), args.delivery_id)
end
local reply = target and settle_target() or {1}
if not fields[4] and fields[3] then -- the run's own webhook; else the run is what an event is about
  local run = key('run', fields[2])
  if redis.call('HGET', run, 'created_us') == fields[3] then
    redis.call('HSET', run, 'webhook', args.outcome)
    if args.problem then
      redis.call('HSET', run, 'webhook_problem', args.problem)
    else
      redis.call('HDEL', run, 'webhook_problem')
    end
  end
end
return reply
