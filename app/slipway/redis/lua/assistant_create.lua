--! needs: assistant_indexes clock index_entries keys metadata_members
--! repeatable: yes
--! shard: assistants
-- Creates an assistant with its first version.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `assistant_id`, `content` (map: see `assistants.scripts.Content`), `token`
--   (of the request), `record` (names of the fields of the reply).
-- Reply: {'ok', fields}; {'exists', token of the request that created it}.
-- Atomic: The record and the indexes.
-- Repeatable: Yes: the caller recognises its own token in 'exists'.

local args = cmsgpack.unpack(ARGV[2])
local assistant = key('assistant', args.assistant_id)
if redis.call('EXISTS', assistant) == 1 then
  return {'exists', redis.call('HGET', assistant, 'token')}
end
args.content.created_us = integer_text(now_us)
local content = cmsgpack.pack(args.content)
redis.call('HSET', assistant, 'created_us', integer_text(now_us), 'updated_us', integer_text(now_us),
  'token', args.token,   'version', 1, 'newest_version', 1, 'content', content, 'v:1', content)
set_metadata_members(assistant, args.content.metadata)
add_entries(assistant_entries(args.assistant_id, integer_text(now_us), integer_text(now_us), args.content))
return {'ok', redis.call('HMGET', assistant, unpack(args.record))}
