--! needs: clock keys metadata_members
--! repeatable: yes
--! shard: assistants
-- Make a new version: the present one with some members replaced, its metadata merged. A number is given out once,
-- and a repetition of the same request (`token`) makes nothing new. Returns {'ok', record} or {'missing'}.
local args = cmsgpack.unpack(ARGV[2])
local assistant = key('assistant', args.assistant_id)
local held = redis.call('HMGET', assistant, 'content', 'token')
if not held[1] then return {'missing'} end
if held[2] ~= args.token then
  local content = cmsgpack.unpack(held[1])
  local graph = content.graph_id
  for name, value in pairs(args.changes) do content[name] = value end
  for name, value in pairs(args.metadata) do content.metadata[name] = value end
  content.created_us = integer_text(now_us)
  if content.graph_id ~= graph then
    redis.call('ZREM', key('graph_assistants', graph), args.assistant_id)
    redis.call('ZADD', key('graph_assistants', content.graph_id), redis.call('HGET', assistant, 'created_us'),
      args.assistant_id)
  end
  local version = redis.call('HINCRBY', assistant, 'newest_version', 1)
  local packed = cmsgpack.pack(content)
  redis.call('HSET', assistant, 'updated_us', integer_text(now_us), 'token', args.token, 'version', version,
    'content', packed, 'v:' .. version, packed)
  set_metadata_members(assistant, content.metadata)
end
return {'ok', redis.call('HMGET', assistant, unpack(args.record))}
