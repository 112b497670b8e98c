--! needs: clock keys shared_records webhook_events
--! rare: disable_endpoint replace_endpoint subscribe_endpoint unsubscribe_endpoint
-- What webhook endpoints are subscribed to. The hash `webhook_subscriptions` has a field for each combination of type,
-- owner and graph that an enabled endpoint wants, so that an event finds its endpoints with one read, however many
-- endpoints there are.

-- Adds an endpoint to these fields of the subscriptions. `entry` is `id:queue:format`. The caller has removed it.
local function subscribe_endpoint(id, entry, names)
  for _, name in ipairs(names) do
    local list = redis.call('HGET', key('webhook_subscriptions'), name)
    redis.call('HSET', key('webhook_subscriptions'), name, list and list .. ' ' .. entry or entry)
  end
  redis.call('HSET', key('webhook_endpoint', id), 'subscribed', cmsgpack.pack({entry, names}))
end

-- Removes an endpoint from the subscriptions, if it is there: no more deliveries are created for it.
local function unsubscribe_endpoint(id)
  local endpoint = key('webhook_endpoint', id)
  local stored = redis.call('HGET', endpoint, 'subscribed')
  if not stored then return end
  local entry, names = unpack(cmsgpack.unpack(stored))
  for _, name in ipairs(names) do
    local kept = {}
    for other in string.gmatch(redis.call('HGET', key('webhook_subscriptions'), name) or '', '%S+') do
      if other ~= entry then kept[#kept + 1] = other end
    end
    if #kept > 0 then
      redis.call('HSET', key('webhook_subscriptions'), name, table.concat(kept, ' '))
    else
      redis.call('HDEL', key('webhook_subscriptions'), name)
    end
  end
  redis.call('HDEL', endpoint, 'subscribed')
end

-- Disables an endpoint because its deliveries fail, and tells the others (`endpoint.disabled`). Only the first shard
-- calls it: it decides about endpoints. Returns whether it was enabled.
local function disable_endpoint(id, reason)
  local endpoint = key('webhook_endpoint', id)
  local state, url, for_owner = unpack(redis.call('HMGET', endpoint, 'state', 'url', 'for_owner'))
  if state ~= 'enabled' then return false end
  unsubscribe_endpoint(id)
  redis.call('HSET', endpoint, 'state', 'disabled', 'disabled_reason', reason, 'updated_us', now_us)
  redis.call('HINCRBY', endpoint, 'revision', 1)
  note_shared_change('endpoint', id)
  if is_anything_subscribed() then
    emit('endpoint.disabled', {id = id, graph_id = false, owner = for_owner and cjson.encode(for_owner)},
      {'disabled_endpoint_id', id, 'url', url, 'reason', reason, 'link', '/ops/webhooks/' .. escaped_segment(id)})
  end
  return true
end

-- Replaces the copy of an endpoint in this shard, with its subscriptions. `fields` is the record, a list of names and
-- values, or false if the endpoint was removed.
local function replace_endpoint(id, fields)
  unsubscribe_endpoint(id)
  redis.call('DEL', key('webhook_endpoint', id))
  if not fields then return end
  redis.call('HSET', key('webhook_endpoint', id), unpack(fields))
  local subscribed = redis.call('HGET', key('webhook_endpoint', id), 'subscribed')
  if subscribed then subscribe_endpoint(id, unpack(cmsgpack.unpack(subscribed))) end
end
