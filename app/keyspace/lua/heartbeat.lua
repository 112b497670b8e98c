-- Renew the leases that a worker still holds, and say that the worker lives.
-- Returns the runs it holds no longer: they belong to another attempt, or are over.
local A = cmsgpack.unpack(ARGV[2])
local lost = {}
for _, held in ipairs(A.attempts) do
  if held_by(held[1], held[2]) then
    redis.call('ZADD', key('leases'), 'XX', whole(now_ms + A.lease_ms), held[1])
  else
    lost[#lost + 1] = held[1]
  end
end
if A.gone then
  redis.call('ZREM', key('workers'), A.worker)
else
  redis.call('ZADD', key('workers'), whole(now_ms), A.worker)
  redis.call('ZREMRANGEBYSCORE', key('workers'), '-inf', whole(now_ms - A.forget_ms))
end
return lost
