--! needs: keys webhook_subscriptions
--! repeatable: yes
--! shard: thread
-- Disables a webhook endpoint whose deliveries in another shard fail.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `endpoint_id`, `reason`, `revision` (of the copy with which the delivery was
--   made).
-- Reply: 1; 0 if it is disabled, removed, or was changed since.
-- Atomic: The record, the subscriptions, and the deliveries of the event `endpoint.disabled`.
-- Repeatable: Yes, but a repetition replies 0.

local args = cmsgpack.unpack(ARGV[2])
if redis.call('HGET', key('webhook_endpoint', args.endpoint_id), 'revision') ~= args.revision then return 0 end
return disable_endpoint(args.endpoint_id, args.reason) and 1 or 0
