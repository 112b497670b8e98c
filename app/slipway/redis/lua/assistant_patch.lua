--! needs: assistant_indexes clock index_entries keys metadata_members terms
--! repeatable: yes
--! shard: assistants
-- Creates a new version of an assistant: the current one with some members replaced and its metadata merged.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `assistant_id`, `changes` (map), `metadata` (map of member to JSON),
--   `members`, `terms` (of this metadata: see `indexes/terms.py`), `token` (of the request), `record` (names of the
--   fields of the reply).
-- Reply: {'ok', fields}; {'missing'}.
-- Atomic: The record, the new version, and the indexes. A version number is used once.
-- Repeatable: Yes: the token of the last change is stored, and its repetition creates no version.

local args = cmsgpack.unpack(ARGV[2])
local assistant = key('assistant', args.assistant_id)
local fields = redis.call('HMGET', assistant, 'content', 'token', 'created_us')
if not fields[1] then return {'missing'} end
if fields[2] ~= args.token then
  local content = cmsgpack.unpack(fields[1])
  remove_entries(assistant_entries(args.assistant_id, 0, 0, content))
  for name, value in pairs(args.changes) do content[name] = value end
  for name, value in pairs(args.metadata) do content.metadata[name] = value end
  content.terms = replaced_terms(content.terms, args.members, args.terms)
  content.created_us = integer_text(now_us)
  add_entries(assistant_entries(args.assistant_id, fields[3], integer_text(now_us), content))
  local version = redis.call('HINCRBY', assistant, 'newest_version', 1)
  local packed = cmsgpack.pack(content)
  redis.call('HSET', assistant, 'updated_us', integer_text(now_us), 'token', args.token, 'version', version,
    'content', packed, 'v:' .. version, packed)
  set_metadata_members(assistant, content.metadata)
end
return {'ok', redis.call('HMGET', assistant, unpack(args.record))}
