--! needs: clock deliveries keys
--! repeatable: yes
--! shard: thread
-- Stores how a try to deliver a webhook ended.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `delivery_id`, `try` (its number), `outcome` (of the run's webhook),
--   `problem` or nil, `retry_ms` (pause before the next try, nil after the last), `uncounted` (tries so far that made
--   no call, or nil).
-- Reply: 1; 0 if a later try has started.
-- Atomic: The delivery, its queue, and the run's fields about its webhook, if the run still exists.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local delivery = key('delivery', args.delivery_id)
local fields = redis.call('HMGET', delivery, 'tries', 'run_id', 'created_us')
if fields[1] ~= tostring(args.try) then return 0 end
local queue = key(delivery_queue(delivery))
if args.retry_ms then
  redis.call('ZADD', queue, integer_text(now_ms + args.retry_ms), args.delivery_id)
  if args.uncounted then redis.call('HSET', delivery, 'uncounted_tries', args.uncounted) end
else
  redis.call('ZREM', queue, args.delivery_id)
  redis.call('DEL', delivery)
end
if not fields[2] then return 1 end -- an announcement belongs to no run
local run = key('run', fields[2])
if redis.call('HGET', run, 'created_us') == fields[3] then
  redis.call('HSET', run, 'webhook', args.outcome)
  if args.problem then
    redis.call('HSET', run, 'webhook_problem', args.problem)
  else
    redis.call('HDEL', run, 'webhook_problem')
  end
end
return 1
