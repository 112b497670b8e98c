--! needs: clock fencing keys outages suspects
--! repeatable: yes
--! shard: thread
-- Renew the leases that a worker still holds, and say that the worker lives.
-- Returns {run, word} for each run it must look at: 'lost' (another attempt has it, or it is over), or how to cancel.
local args = cmsgpack.unpack(ARGV[2])
local words = {}
-- first what takes memory from nobody: a server that is full refuses only scripts that begin with what does
redis.call('ZREMRANGEBYSCORE', key('workers'), '-inf', integer_text(now_ms - args.lease_ms))
if args.grace then in_grace_period(args.grace) end
for _, pair in ipairs(args.attempts) do -- run, attempt, the run's time of creation
  local owned = owned_run(pair[1], pair[2], pair[3])
  if not owned then
    withdraw_suspicion(pair[1], pair[2], pair[3])
    words[#words + 1] = {pair[1], 'lost'}
  else
    redis.call('ZADD', key('leases'), 'XX', integer_text(now_ms + args.lease_ms), pair[1])
    if owned.cancel then words[#words + 1] = {pair[1], owned.cancel} end
  end
end
if args.gone then
  redis.call('ZREM', key('workers'), args.worker)
elseif args.listed then
  redis.call('ZADD', key('workers'), integer_text(now_ms), args.worker)
end
return words
