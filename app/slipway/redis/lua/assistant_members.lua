--! needs: keys metadata_members
--! repeatable: yes
--! shard: assistants
-- Write the fields of the metadata's members for an assistant that does not have them as it is now: an earlier release
-- stored or changed it.
local args = cmsgpack.unpack(ARGV[2])
local assistant = key('assistant', args.assistant_id)
local held = redis.call('HMGET', assistant, 'content', 'updated_us', 'members_of_us')
if held[1] and held[2] ~= held[3] then set_metadata_members(assistant, cmsgpack.unpack(held[1]).metadata) end
return 'ok'
