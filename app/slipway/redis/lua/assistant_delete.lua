--! needs: keys
--! repeatable: no
--! shard: assistants
-- Remove an assistant with its versions. Returns {'ok'} or {'missing'}.
local args = cmsgpack.unpack(ARGV[2])
local assistant = key('assistant', args.assistant_id)
local content = redis.call('HGET', assistant, 'content')
if not content then return {'missing'} end
redis.call('ZREM', key('assistants'), args.assistant_id)
redis.call('ZREM', key('graph_assistants', cmsgpack.unpack(content).graph_id), args.assistant_id)
redis.call('DEL', assistant)
return {'ok'}
