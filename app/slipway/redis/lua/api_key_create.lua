--! needs: clock keys
--! repeatable: yes
--! shard: access
-- Stores a new API key. Deletes keys that ended more than 90 days ago, a few at a time.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `id`, `digest`, `last_characters`, `name`, `scopes` (JSON), `owner` (nil:
-- the records of all owners), `created_by`, `lasts_us` (nil: it does not expire).
-- Reply: {'ok', created_us}; {'taken'} if another key has the id.
-- Atomic: All of it.
-- Repeatable: Yes: a repetition with the same hash finds the key of the first call.

local args = cmsgpack.unpack(ARGV[2])
local record = key('api_key', args.id)
local stored = redis.call('HMGET', record, 'digest', 'created_us')
if stored[1] == args.digest then return {'ok', stored[2]} end
if stored[1] then return {'taken'} end

local kept_us = 90 * 24 * 3600 * 1000000
local ended_before = integer_text(now_us - kept_us)
for _, ended in ipairs(redis.call('ZRANGE', key('api_keys_end'), '-inf', ended_before, 'BYSCORE', 'LIMIT', 0, 10)) do
  redis.call('DEL', key('api_key', ended))
  redis.call('ZREM', key('api_keys_end'), ended)
  redis.call('ZREM', key('api_keys'), ended)
end

local ends = '+inf'
redis.call('HSET', record, 'digest', args.digest, 'last_characters', args.last_characters, 'name', args.name,
  'scopes', args.scopes, 'created_us', integer_text(now_us), 'created_by', args.created_by)
if args.owner then redis.call('HSET', record, 'owner', args.owner) end
if args.lasts_us then
  ends = integer_text(now_us + args.lasts_us)
  redis.call('HSET', record, 'expires_us', ends)
end
redis.call('ZADD', key('api_keys'), integer_text(now_us), args.id)
redis.call('ZADD', key('api_keys_end'), ends, args.id)
return {'ok', integer_text(now_us)}
