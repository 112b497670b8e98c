-- Make a new version: the present one with some members replaced, its metadata merged. A number is given out once,
-- and a repetition of the same request (`token`) makes nothing new. Returns {'ok', record} or {'missing'}.
local A = cmsgpack.unpack(ARGV[2])
local assistant = key('assistant', A.assistant_id)
local held = redis.call('HMGET', assistant, 'content', 'token')
if not held[1] then return {'missing'} end
if held[2] ~= A.token then
  local content = cmsgpack.unpack(held[1])
  local graph = content.graph_id
  for name, value in pairs(A.changes) do content[name] = value end
  for name, value in pairs(A.metadata) do content.metadata[name] = value end
  content.created_us = whole(now_us)
  if content.graph_id ~= graph then
    redis.call('ZREM', key('graph_assistants', graph), A.assistant_id)
    redis.call('ZADD', key('graph_assistants', content.graph_id), redis.call('HGET', assistant, 'created_us'),
      A.assistant_id)
  end
  local version = redis.call('HINCRBY', assistant, 'newest', 1)
  local packed = cmsgpack.pack(content)
  redis.call('HSET', assistant, 'updated_us', whole(now_us), 'token', A.token, 'version', version,
    'content', packed, 'v:' .. version, packed)
  set_members(assistant, content.metadata)
end
return {'ok', redis.call('HMGET', assistant, unpack(A.record))}
