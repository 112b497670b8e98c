--! needs: clock deliveries keys
--! repeatable: yes
--! shard: thread
-- Say how a try to deliver a webhook ended: `outcome` is final, or `retry_ms` is the pause before the next try.
-- `uncounted` is how many tries have made no call by now.
-- A try that was overtaken by another changes nothing. The run shows it, if it is still there.
local args = cmsgpack.unpack(ARGV[2])
local delivery = key('delivery', args.delivery_id)
local held = redis.call('HMGET', delivery, 'tries', 'run_id', 'created_us')
if held[1] ~= tostring(args.try) then return 0 end
local queue = key(delivery_queue(delivery))
if args.retry_ms then
  redis.call('ZADD', queue, integer_text(now_ms + args.retry_ms), args.delivery_id)
  if args.uncounted then redis.call('HSET', delivery, 'uncounted_tries', args.uncounted) end
else
  redis.call('ZREM', queue, args.delivery_id)
  redis.call('DEL', delivery)
end
local run = key('run', held[2])
if redis.call('HGET', run, 'created_us') == held[3] then
  redis.call('HSET', run, 'webhook', args.outcome)
  if args.problem then
    redis.call('HSET', run, 'webhook_problem', args.problem)
  else
    redis.call('HDEL', run, 'webhook_problem')
  end
end
return 1
