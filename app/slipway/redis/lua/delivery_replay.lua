--! needs: clock deliveries keys
--! repeatable: yes
--! shard: thread
-- Sends deliveries again, with the same ids and bodies: they are due now, and their tries begin from the first.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `delivery_ids`.
-- Reply: for each `ok`, `missing`, or `calling` if a try is in progress.
-- Atomic: All of them, with the fields of runs about their webhooks.
-- Repeatable: Yes: a repetition makes them due again, unless a try has started.

local args = cmsgpack.unpack(ARGV[2])

local function replay(name)
  local delivery = key('delivery', name)
  local fields = redis.call('HMGET', delivery, 'tries', 'delivery_state', 'enqueued_us', 'called_us', 'run_id',
    'created_us', 'endpoint_id', 'webhook_origin')
  if not fields[1] then return 'missing' end
  local queue = key(delivery_queue(delivery))
  if fields[4] and tonumber(redis.call('ZSCORE', queue, name) or 0) > now_ms then return 'calling' end
  local target = fields[7] or fields[8] and 'origin:' .. fields[8]
  if target then redis.call('ZREM', key('parked_deliveries', target), name) end
  redis.call('ZREM', key('deliveries_expiring'), name)
  redis.call('HDEL', delivery, 'uncounted_tries', 'next_try_us', 'settled_us', 'problem')
  redis.call('HSET', delivery, 'tries_before', fields[1])
  if fields[3] then set_delivery_state(name, fields[3], fields[2], 'pending') end
  redis.call('ZADD', queue, integer_text(now_ms), name)
  if not fields[7] and fields[5] then
    local run = key('run', fields[5])
    if redis.call('HGET', run, 'created_us') == fields[6] then redis.call('HSET', run, 'webhook', 'pending') end
  end
  return 'ok'
end

local replies = {}
for i, name in ipairs(args.delivery_ids) do replies[i] = replay(name) end
return replies
