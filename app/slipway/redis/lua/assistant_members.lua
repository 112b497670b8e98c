--! needs: keys metadata_members
--! repeatable: yes
--! shard: assistants
-- Writes the metadata fields of an assistant that an older release stored without them.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `assistant_id`.
-- Reply: 'ok', also if there is nothing to write.
-- Atomic: The metadata fields and `members_of_us`.
-- Repeatable: Yes: they are written only if they are out of date.

local args = cmsgpack.unpack(ARGV[2])
local assistant = key('assistant', args.assistant_id)
local fields = redis.call('HMGET', assistant, 'content', 'updated_us', 'members_of_us')
if fields[1] and fields[2] ~= fields[3] then set_metadata_members(assistant, cmsgpack.unpack(fields[1]).metadata) end
return 'ok'
