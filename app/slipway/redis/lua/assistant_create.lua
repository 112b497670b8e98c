--! needs: clock keys metadata_members
--! repeatable: yes
--! shard: assistants
-- Keep an assistant with its first version. Returns {'ok', record}, where the record is the fields that
-- `assistant_scripts.RECORD` names, or {'exists', its token}.
local args = cmsgpack.unpack(ARGV[2])
local assistant = key('assistant', args.assistant_id)
if redis.call('EXISTS', assistant) == 1 then
  return {'exists', redis.call('HGET', assistant, 'token')}
end
args.content.created_us = integer_text(now_us)
local content = cmsgpack.pack(args.content)
redis.call('HSET', assistant, 'created_us', integer_text(now_us), 'updated_us', integer_text(now_us), 'token', args.token,
  'version', 1, 'newest_version', 1, 'content', content, 'v:1', content)
set_metadata_members(assistant, args.content.metadata)
redis.call('ZADD', key('assistants'), integer_text(now_us), args.assistant_id)
redis.call('ZADD', key('graph_assistants', args.content.graph_id), integer_text(now_us), args.assistant_id)
return {'ok', redis.call('HMGET', assistant, unpack(args.record))}
