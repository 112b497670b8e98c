--! needs: keys webhook_events
--! repeatable: no
--! shard: thread
-- Creates the delivery of a test event (`endpoint.test`) to one endpoint, whatever it is subscribed to.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `endpoint_id`, `queue` (the kind of its queue), `by` (who tests).
-- Reply: {'ok', id of the delivery}; {'missing'}; {'disabled'}.
-- Atomic: All of it.
-- Repeatable: No: a repetition creates another delivery.

local args = cmsgpack.unpack(ARGV[2])
local state, owner = unpack(redis.call('HMGET', key('webhook_endpoint', args.endpoint_id), 'state', 'for_owner'))
if not state then return {'missing'} end
if state ~= 'enabled' then return {'disabled'} end
local body = thin_body('endpoint.test', {'endpoint_id', args.endpoint_id, 'by', args.by, 'link', '/ops/webhooks/'
  .. escaped_segment(args.endpoint_id)})
return {'ok', create_event_delivery('endpoint.test', {id = args.endpoint_id}, body,
  {id = args.endpoint_id, queue = args.queue, owner = owner})}
