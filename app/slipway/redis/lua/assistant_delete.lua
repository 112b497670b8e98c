--! needs: assistant_indexes index_entries keys
--! repeatable: no
--! shard: assistants
-- Deletes an assistant with all versions.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `assistant_id`.
-- Reply: {'ok'}; {'missing'}.
-- Atomic: The record and the indexes.
-- Repeatable: No: a repetition replies 'missing'.

local args = cmsgpack.unpack(ARGV[2])
local assistant = key('assistant', args.assistant_id)
local content = redis.call('HGET', assistant, 'content')
if not content then return {'missing'} end
remove_entries(assistant_entries(args.assistant_id, 0, 0, cmsgpack.unpack(content)))
redis.call('DEL', assistant)
return {'ok'}
