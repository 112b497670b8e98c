--! needs: clock keys
--! repeatable: yes
--! shard: access
-- Revokes an API key: every process learns it at once.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `id`, `by`.
-- Reply: {'ok', changed, fields of the key}, where changed is 0 if the key was revoked before; {'missing'}.
-- Atomic: All of it.
-- Repeatable: Yes: the first call decides when and by whom the key was revoked.

local args = cmsgpack.unpack(ARGV[2])
local record = key('api_key', args.id)
local fields = redis.call('HMGET', record, 'digest', 'revoked_us', 'expires_us')
if not fields[1] then return {'missing'} end
local changed = 0
if not fields[2] then
  changed = 1
  redis.call('HSET', record, 'revoked_us', integer_text(now_us), 'revoked_by', args.by)
  if not fields[3] or tonumber(fields[3]) > now_us then
    redis.call('ZADD', key('api_keys_end'), integer_text(now_us), args.id)
  end
end
redis.call('PUBLISH', key('api_key_changes'), args.id)
return {'ok', changed, redis.call('HGETALL', record)}
