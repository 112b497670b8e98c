-- Keep an assistant with its first version. Returns {'ok', record}, where the record is the fields that
-- `assistant_scripts.RECORD` names, or {'exists', its token}.
local A = cmsgpack.unpack(ARGV[2])
local assistant = key('assistant', A.assistant_id)
if redis.call('EXISTS', assistant) == 1 then
  return {'exists', redis.call('HGET', assistant, 'token')}
end
A.content.created_us = whole(now_us)
local content = cmsgpack.pack(A.content)
redis.call('HSET', assistant, 'created_us', whole(now_us), 'updated_us', whole(now_us), 'token', A.token,
  'version', 1, 'newest', 1, 'content', content, 'v:1', content)
set_members(assistant, A.content.metadata)
redis.call('ZADD', key('assistants'), whole(now_us), A.assistant_id)
redis.call('ZADD', key('graph_assistants', A.content.graph_id), whole(now_us), A.assistant_id)
return {'ok', redis.call('HMGET', assistant, unpack(A.record))}
