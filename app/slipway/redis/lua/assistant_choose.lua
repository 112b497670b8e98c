--! needs: clock keys metadata_members
--! repeatable: yes
--! shard: assistants
-- Make an earlier version the present one, whole. Returns {'ok', record}, {'missing'} or {'no_version'}.
local args = cmsgpack.unpack(ARGV[2])
local assistant = key('assistant', args.assistant_id)
local held = redis.call('HMGET', assistant, 'content', 'v:' .. args.version)
if not held[1] then return {'missing'} end
if not held[2] then return {'no_version'} end
local chosen = cmsgpack.unpack(held[2])
local before, after = cmsgpack.unpack(held[1]).graph_id, chosen.graph_id
if before ~= after then
  redis.call('ZREM', key('graph_assistants', before), args.assistant_id)
  redis.call('ZADD', key('graph_assistants', after), redis.call('HGET', assistant, 'created_us'), args.assistant_id)
end
redis.call('HSET', assistant, 'updated_us', integer_text(now_us), 'version', args.version, 'content', held[2])
set_metadata_members(assistant, chosen.metadata)
return {'ok', redis.call('HMGET', assistant, unpack(args.record))}
