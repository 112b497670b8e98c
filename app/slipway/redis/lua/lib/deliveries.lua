--! needs: clock keys
--! keys: internal_deliveries
--! rare: add_delivery create_delivery
-- Deliveries: webhooks that are to be called.

-- The kind of the queue in which the webhook of this run (or delivery) waits.
local function delivery_queue(run)
  return redis.call('HGET', run, 'webhook_queue') or 'deliveries'
end

-- The id of the run, unless the delivery of a deleted run that had the same id still waits.
local function delivery_name(run_id, created_us)
  local waiting_created_us = redis.call('HGET', key('delivery', run_id), 'created_us')
  return waiting_created_us and waiting_created_us ~= created_us and run_id .. '@' .. created_us or run_id
end

-- Creates the delivery `name` of an event, which is due now. `endpoint_id`, `run_id` and `owner` may be nil. `others`
-- are further fields: names and values.
local function add_delivery(name, queue, endpoint_id, event_type, run_id, owner, others)
  local delivery = key('delivery', name)
  redis.call('HSET', delivery, 'tries', 0, 'enqueued_us', now_us, 'type', event_type, unpack(others))
  if endpoint_id then redis.call('HSET', delivery, 'endpoint_id', endpoint_id) end
  if run_id then redis.call('HSET', delivery, 'run_id', run_id) end
  if owner then redis.call('HSET', delivery, 'owner', owner) end
  if queue ~= 'deliveries' then redis.call('HSET', delivery, 'webhook_queue', queue) end
  local due = queue == 'deliveries' and key('deliveries') or key('internal_deliveries')
  redis.call('ZADD', due, integer_text(now_ms), name)
end

-- Creates the delivery if the run has a webhook. The delivery is a copy of the run record with what the webhook
-- receives, because run and thread may be deleted before the call: `values` and `interrupts` (none for a temporary
-- thread), the final status, and the error as clients receive it if that is not the record's.
local function create_delivery(run_id, thread_id, status, values, interrupts, shown_error)
  local run = key('run', run_id)
  if redis.call('HGET', run, 'webhook') ~= 'pending' then return end
  local name = delivery_name(run_id, redis.call('HGET', run, 'created_us'))
  local delivery = key('delivery', name)
  if redis.call('EXISTS', delivery) == 1 then return end
  local thread = redis.call('HMGET', key('thread', thread_id), 'temporary', 'values')
  redis.call('COPY', run, delivery)
  redis.call('HSET', delivery, 'body_status', status, 'body_interrupts', interrupts or '{}', 'tries', 0)
  if shown_error then redis.call('HSET', delivery, 'body_error', shown_error) end
  if thread[1] ~= '1' then
    redis.call('HSET', delivery, 'body_values', values or thread[2] or 'null')
  end
  redis.call('ZADD', key(delivery_queue(run)), integer_text(now_ms), name)
end
