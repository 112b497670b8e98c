-- Say how a try to deliver a webhook ended: `outcome` is final, or `retry_ms` is the pause before the next try.
-- A try that was overtaken by another changes nothing. The run shows it, if it is still there.
local A = cmsgpack.unpack(ARGV[2])
local delivery, run = key('delivery', A.run_id), key('run', A.run_id)
if redis.call('HGET', delivery, 'tries') ~= tostring(A.try) then return 0 end
local queue = key(delivery_queue(delivery))
if A.retry_ms then
  redis.call('ZADD', queue, whole(now_ms + A.retry_ms), A.run_id)
else
  redis.call('ZREM', queue, A.run_id)
  redis.call('DEL', delivery)
end
if redis.call('EXISTS', run) == 1 then
  redis.call('HSET', run, 'webhook', A.outcome, 'webhook_tries', A.try)
  if A.problem then
    redis.call('HSET', run, 'webhook_problem', A.problem)
  else
    redis.call('HDEL', run, 'webhook_problem')
  end
end
return 1
