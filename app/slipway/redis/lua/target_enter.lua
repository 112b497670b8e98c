--! needs: clock keys target_breaker
--! repeatable: yes
--! shard: targets
-- Lets calls of the targets of deliveries in, for claimed deliveries of several shards. Each has a lease: if its
-- process dies, the call is free again when the lease ends.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `lease_ms`; `calls`, a list of maps: `target`, `call` (the number of the
--   try, a colon and the id of the delivery), `before` (the same of the try before), `shard` (the number of the shard
--   of the delivery), `most` (calls of the target at once).
-- Reply: for each -1 if it is let in; else for how many ms the target gets no call, 0 if that is not known.
-- Atomic: The calls, and which shards wait for a free one.
-- Repeatable: Yes: a call that was let in is let in.

local WAITING_TTL_S = 7200 -- longer than any pause of a target
local args = cmsgpack.unpack(ARGV[2])

local function enter(call)
  local calls, waiting = key('target_calls', call.target), key('target_waiting', call.target)
  redis.call('ZREM', calls, call.before) -- its lease has ended in its shard
  if redis.call('ZSCORE', calls, call.call) then return -1 end
  local free, open_until_ms = free_calls(key('target', call.target), calls, call.most)
  if free > 0 then
    redis.call('ZADD', calls, integer_text(now_ms + args.lease_ms), call.call)
    redis.call('PEXPIRE', calls, args.lease_ms)
    return -1
  end
  -- a new score, in nearly the same place: who has found the shard empty must not remove it now
  if redis.call('ZADD', waiting, 'NX', now_us, call.shard) == 0 then redis.call('ZINCRBY', waiting, 1, call.shard) end
  redis.call('EXPIRE', waiting, WAITING_TTL_S)
  return open_until_ms and open_until_ms - now_ms or 0
end

local replies = {}
for i, call in ipairs(args.calls) do replies[i] = enter(call) end
return replies
