--! needs: clock deliveries delivery_targets keys
--! repeatable: yes
--! shard: thread
-- Undoes claims of deliveries whose targets let no call in, and parks the deliveries.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `refused`, a list of maps: `delivery_id`, `try` (its number), `due_ms` (as
--   text), `lost_us` (when a try was claimed that had not ended, as text, or nil), `wait_ms` (for so long its target
--   gets no call, or nil).
-- Reply: how many were parked; the others were claimed again since.
-- Atomic: The tries of all of them, their queues, and what is parked.
-- Repeatable: Yes: a repetition finds no such try.

local args = cmsgpack.unpack(ARGV[2])

local function park(refused)
  local name = refused.delivery_id
  local delivery = key('delivery', name)
  local fields = redis.call('HMGET', delivery, 'tries', 'settled_try', 'endpoint_id', 'webhook_origin')
  if fields[1] ~= tostring(refused.try) or fields[2] == fields[1] then return 0 end
  redis.call('HSET', delivery, 'tries', refused.try - 1)
  if refused.lost_us then
    redis.call('HSET', delivery, 'called_us', refused.lost_us)
    redis.call('RPOP', key('delivery_tries', name))
  else
    redis.call('HDEL', delivery, 'called_us')
  end
  local look_ms = refused.wait_ms and now_ms + refused.wait_ms
  park_delivery(key(delivery_queue(delivery)), target_of(fields[3], fields[4]), name, refused.due_ms, look_ms)
  return 1
end

local parked = 0
for _, refused in ipairs(args.refused) do parked = parked + park(refused) end
return parked
