-- Renew the leases that a worker still holds, and say that the worker lives.
-- Returns {run, word} for each run it must look at: 'lost' (another attempt has it, or it is over), or how to cancel.
local A = cmsgpack.unpack(ARGV[2])
local words = {}
-- first what takes memory from nobody: a server that is full refuses only scripts that begin with what does
redis.call('ZREMRANGEBYSCORE', key('workers'), '-inf', whole(now_ms - A.lease_ms))
if A.grace then in_grace(A.grace) end
for _, pair in ipairs(A.attempts) do -- run, attempt, the run's time of creation
  local held = held_by(pair[1], pair[2], pair[3])
  if not held then
    acquit(pair[1], pair[2], pair[3])
    words[#words + 1] = {pair[1], 'lost'}
  else
    redis.call('ZADD', key('leases'), 'XX', whole(now_ms + A.lease_ms), pair[1])
    if held.cancel then words[#words + 1] = {pair[1], held.cancel} end
  end
end
if A.gone then
  redis.call('ZREM', key('workers'), A.worker)
elseif A.listed then
  redis.call('ZADD', key('workers'), whole(now_ms), A.worker)
end
return words
