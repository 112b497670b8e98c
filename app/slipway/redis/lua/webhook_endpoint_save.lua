--! needs: clock keys shared_records webhook_subscriptions
--! repeatable: yes
--! shard: thread
-- Adds a webhook endpoint, or changes it if nobody has changed it since it was read. The first shard decides; the
-- others get a copy of the record.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: see `EndpointScripts.save`; the keys in their stored form.
-- Reply: {'ok', fields}; {'missing'}; {'changed'} if the endpoint was changed; {'most', count} if there are as many
--   endpoints, or endpoints of its owner, as there may be.
-- Atomic: The record, the lists of endpoints, and the subscriptions.
-- Repeatable: Yes: a repetition is known by its `request`.

local args = cmsgpack.unpack(ARGV[2])
local id, endpoint = args.endpoint_id, key('webhook_endpoint', args.endpoint_id)
local revision, request, owner_before = unpack(redis.call('HMGET', endpoint, 'revision', 'request', 'for_owner'))
if request == args.request then return {'ok', redis.call('HGETALL', endpoint)} end
if not args.create and not revision then return {'missing'} end
if not args.create and revision ~= args.revision then return {'changed'} end

if args.create and redis.call('ZCARD', key('webhook_endpoints')) >= args.most then return {'most', args.most} end
local joins_owner = args.for_owner and args.for_owner ~= owner_before
if joins_owner and redis.call('SCARD', key('webhook_endpoints_of', args.for_owner)) >= args.most_of_owner then
  return {'most', args.most_of_owner}
end

unsubscribe_endpoint(id)
if #args.deleted > 0 then redis.call('HDEL', endpoint, unpack(args.deleted)) end
redis.call('HSET', endpoint, 'request', args.request, 'updated_us', now_us, 'keys', ARGV[3], unpack(args.fields))
redis.call('HINCRBY', endpoint, 'revision', 1)
if args.resets_health then
  redis.call('HDEL', endpoint, 'failures', 'failing_since_us', 'open_until_us')
end
if args.create then
  redis.call('HSET', endpoint, 'created_us', now_us)
  redis.call('ZADD', key('webhook_endpoints'), now_us, id)
end
if owner_before and owner_before ~= args.for_owner then
  redis.call('SREM', key('webhook_endpoints_of', owner_before), id)
end
if joins_owner then redis.call('SADD', key('webhook_endpoints_of', args.for_owner), id) end
note_shared_change('endpoint', id)
if args.entry then subscribe_endpoint(id, args.entry, args.names) end
return {'ok', redis.call('HGETALL', endpoint)}
