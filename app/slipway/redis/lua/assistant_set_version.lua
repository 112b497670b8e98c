--! needs: assistant_indexes clock index_entries keys metadata_members
--! repeatable: yes
--! shard: assistants
-- Makes an earlier version of an assistant the current one.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `assistant_id`, `version`, `record` (names of the fields of the reply).
-- Reply: {'ok', fields}; {'missing'}; {'no_version'}.
-- Atomic: The record and the indexes.
-- Repeatable: Yes: the version is the current one afterwards.

local args = cmsgpack.unpack(ARGV[2])
local assistant = key('assistant', args.assistant_id)
local fields = redis.call('HMGET', assistant, 'content', 'v:' .. args.version, 'created_us')
if not fields[1] then return {'missing'} end
if not fields[2] then return {'no_version'} end
local chosen = cmsgpack.unpack(fields[2])
remove_entries(assistant_entries(args.assistant_id, 0, 0, cmsgpack.unpack(fields[1])))
add_entries(assistant_entries(args.assistant_id, fields[3], integer_text(now_us), chosen))
redis.call('HSET', assistant, 'updated_us', integer_text(now_us), 'version', args.version, 'content', fields[2])
set_metadata_members(assistant, chosen.metadata)
return {'ok', redis.call('HMGET', assistant, unpack(args.record))}
