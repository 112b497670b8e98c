-- Make an earlier version the present one, whole. Returns {'ok', record}, {'missing'} or {'no_version'}.
local A = cmsgpack.unpack(ARGV[2])
local assistant = key('assistant', A.assistant_id)
local held = redis.call('HMGET', assistant, 'content', 'v:' .. A.version)
if not held[1] then return {'missing'} end
if not held[2] then return {'no_version'} end
local chosen = cmsgpack.unpack(held[2])
local before, after = cmsgpack.unpack(held[1]).graph_id, chosen.graph_id
if before ~= after then
  redis.call('ZREM', key('graph_assistants', before), A.assistant_id)
  redis.call('ZADD', key('graph_assistants', after), redis.call('HGET', assistant, 'created_us'), A.assistant_id)
end
redis.call('HSET', assistant, 'updated_us', whole(now_us), 'version', A.version, 'content', held[2])
set_members(assistant, chosen.metadata)
return {'ok', redis.call('HMGET', assistant, unpack(A.record))}
