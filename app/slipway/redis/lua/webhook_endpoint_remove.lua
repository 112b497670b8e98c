--! needs: keys shared_records webhook_subscriptions
--! repeatable: yes
--! shard: thread
-- Removes a webhook endpoint. What is still to be sent to it is not sent any more. The first shard decides; the others
-- remove their copies.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `endpoint_id`.
-- Reply: 1; 0 if there is none.
-- Atomic: The record, the lists of endpoints, and the subscriptions.
-- Repeatable: Yes, but a repetition replies 0.

local id = cmsgpack.unpack(ARGV[2]).endpoint_id
local owner = redis.call('HGET', key('webhook_endpoint', id), 'for_owner')
unsubscribe_endpoint(id)
if owner then redis.call('SREM', key('webhook_endpoints_of', owner), id) end
redis.call('ZREM', key('webhook_endpoints'), id)
if redis.call('DEL', key('webhook_endpoint', id)) == 0 then return 0 end
note_shared_change('endpoint', id)
return 1
