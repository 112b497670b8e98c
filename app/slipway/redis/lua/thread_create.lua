--! needs: keys threads
--! repeatable: yes
--! shard: thread
-- Creates a thread.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `thread_id`, `metadata` (map of member to JSON), `terms` (packed, of the
--   metadata), `token` (of the request), `ttl` (map or nil), `existing` (fields to read from a thread that exists;
--   others are not read).
-- Reply: {'ok', fields}; {'exists', values of the `existing` fields}; {'leftovers'} if checkpoints of a deleted thread
--   must be deleted first.
-- Atomic: The record and the indexes.
-- Repeatable: Yes: the caller recognises its own token in 'exists'.

local args = cmsgpack.unpack(ARGV[2])
local thread = key('thread', args.thread_id)
if redis.call('EXISTS', thread) == 1 then return {'exists', redis.call('HMGET', thread, unpack(args.existing))} end
if has_leftovers(args.thread_id) then return {'leftovers'} end
redis.call('HSET', thread, 'status', 'idle', 'token', args.token)
index_new_thread(args.thread_id, args.terms)
for field, value in pairs(args.metadata) do redis.call('HSET', thread, 'm:' .. field, value) end
set_ttl(args.thread_id, args.ttl)
set_updated(args.thread_id)
return {'ok', redis.call('HGETALL', thread)}
