--! needs: clock keys
--! keys: internal_deliveries
--! rare: add_delivery create_delivery delivery_sets delivery_type index_delivery queue_delivery
-- Deliveries: webhooks that are to be called, that were called, and those that nobody accepted. See
-- `webhooks/record.py`.
--
-- The index of deliveries is the set of all of them and, of each delivery, one set for its state, its endpoint, its
-- type, its run and the owner who may see it. All are scored by the time of its creation in µs.

-- The kind of the queue in which the webhook of this run (or delivery) waits.
local function delivery_queue(run)
  return redis.call('HGET', run, 'webhook_queue') or 'deliveries'
end

-- The id of the run, unless there is a delivery of a deleted run that had the same id.
local function delivery_name(run_id, created_us)
  local stored_us = redis.call('HGET', key('delivery', run_id), 'created_us')
  return stored_us and stored_us ~= created_us and run_id .. '@' .. created_us or run_id
end

-- The sets of the index that a delivery is in, but for those of all and of its state. `fields` is a list:
-- `endpoint_id`, `type`, `run_id` and `owner`, each of which may be false.
local function delivery_sets(fields)
  local sets = {}
  if fields[1] then sets[#sets + 1] = key('deliveries_with', 'endpoint:' .. fields[1]) end
  if fields[2] then sets[#sets + 1] = key('deliveries_with', 'type:' .. fields[2]) end
  if fields[3] then sets[#sets + 1] = key('deliveries_with', 'run:' .. fields[3]) end
  if fields[4] then sets[#sets + 1] = key('deliveries_with', 'owner:' .. redis.sha1hex(fields[4])) end
  return sets
end

-- Adds a delivery to the index. `fields` are as for `delivery_sets`.
local function index_delivery(name, enqueued_us, state, fields)
  redis.call('ZADD', key('deliveries_all'), enqueued_us, name)
  redis.call('ZADD', key('deliveries_with', state), enqueued_us, name)
  for _, set in ipairs(delivery_sets(fields)) do redis.call('ZADD', set, enqueued_us, name) end
end

-- Moves a delivery from one state to another.
local function set_delivery_state(name, enqueued_us, before, after)
  redis.call('HSET', key('delivery', name), 'delivery_state', after)
  if before == after then return end
  redis.call('ZREM', key('deliveries_with', before), name)
  redis.call('ZADD', key('deliveries_with', after), enqueued_us, name)
end

-- Deletes a delivery with its tries.
local function delete_delivery(name)
  local delivery = key('delivery', name)
  local fields = redis.call('HMGET', delivery, 'endpoint_id', 'type', 'run_id', 'owner', 'delivery_state')
  redis.call('ZREM', key('deliveries_all'), name)
  redis.call('ZREM', key('deliveries_expiring'), name)
  if fields[5] then redis.call('ZREM', key('deliveries_with', fields[5]), name) end
  for _, set in ipairs(delivery_sets(fields)) do redis.call('ZREM', set, name) end
  redis.call('DEL', delivery, key('delivery_tries', name))
end

-- Queues a delivery whose record is stored, and adds it to the index; it is due now.
local function queue_delivery(name, queue)
  local delivery = key('delivery', name)
  local fields = redis.call('HMGET', delivery, 'endpoint_id', 'type', 'run_id', 'owner')
  redis.call('HSET', delivery, 'tries', 0, 'delivery_state', 'pending', 'enqueued_us', now_us)
  index_delivery(name, now_us, 'pending', fields)
  local due = queue == 'deliveries' and key('deliveries') or key('internal_deliveries')
  redis.call('ZADD', due, integer_text(now_ms), name)
end

-- Creates the delivery `name` of an event, which is due now. `endpoint_id`, `run_id` and `owner` (who may see it,
-- beside operators) may be nil. `others` are further fields: names and values.
local function add_delivery(name, queue, endpoint_id, event_type, run_id, owner, others)
  local delivery = key('delivery', name)
  redis.call('HSET', delivery, 'type', event_type, unpack(others))
  if endpoint_id then redis.call('HSET', delivery, 'endpoint_id', endpoint_id) end
  if run_id then redis.call('HSET', delivery, 'run_id', run_id) end
  if owner then redis.call('HSET', delivery, 'owner', owner) end
  if queue ~= 'deliveries' then redis.call('HSET', delivery, 'webhook_queue', queue) end
  queue_delivery(name, queue)
end

-- The type of the event that the webhook of a run tells, by the status of its body and the phase of the run. The
-- interrupts do not tell whether it waits: they may be encrypted.
local function delivery_type(status, phase)
  if status == 'interrupted' or status == 'rollback' then return 'run.cancelled' end
  if status ~= 'success' then return 'run.failed' end
  return phase == 'waiting_for_approval' and 'run.waiting_for_approval' or 'run.completed'
end

-- Creates the delivery if the run has a webhook. The delivery is a copy of the run record with what the webhook
-- receives, because run and thread may be deleted before the call: `values` and `interrupts` (none for a temporary
-- thread), the final status, and the error as clients receive it if that is not the record's.
local function create_delivery(run_id, thread_id, status, values, interrupts, shown_error)
  local run = key('run', run_id)
  local stored = redis.call('HMGET', run, 'webhook', 'created_us', 'm:owner', 'phase')
  if stored[1] ~= 'pending' then return end
  local name = delivery_name(run_id, stored[2])
  local delivery = key('delivery', name)
  if redis.call('EXISTS', delivery) == 1 then return end
  local thread = redis.call('HMGET', key('thread', thread_id), 'temporary', 'values')
  redis.call('COPY', run, delivery)
  redis.call('HSET', delivery, 'body_status', status, 'body_interrupts', interrupts or '{}', 'type',
    delivery_type(status, stored[4]))
  if shown_error then redis.call('HSET', delivery, 'body_error', shown_error) end
  if thread[1] ~= '1' then
    redis.call('HSET', delivery, 'body_values', values or thread[2] or 'null')
  end
  -- metadata may have any JSON there; only a text is an owner
  local owner = string.sub(stored[3] or '', 1, 1) == '"' and cjson.decode(stored[3])
  if owner then redis.call('HSET', delivery, 'owner', owner) end
  queue_delivery(name, delivery_queue(run))
end
