--! needs: keys terms threads
--! repeatable: yes
--! shard: thread
--! threads: 2
-- Creates a thread with the values, interrupts, config, metadata and graph version of another one, without its runs. A
-- copy of a thread that may go back to another version may go back as well.
-- `copied_us` (the creation time of the source) says that its checkpoints are still to be copied.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `source`, `thread_id`, `token` (of the request), `ttl` (map or nil),
--   `metadata` (map of member to JSON that replaces the source's, or nil), `terms` (packed, of that metadata, or nil).
-- Reply: {'ok', fields}; {'exists', fields}; {'missing'} if there is no source; {'leftovers'} if checkpoints of a
--   deleted thread must be deleted first.
-- Atomic: The record and the indexes.
-- Repeatable: Yes: the caller recognises its own token in 'exists'.

local args = cmsgpack.unpack(ARGV[2])
local source, thread = key('thread', args.source), key('thread', args.thread_id)
if redis.call('EXISTS', thread) == 1 then return {'exists', redis.call('HGETALL', thread)} end
if has_leftovers(args.thread_id) then return {'leftovers'} end
local fields = redis.call('HGETALL', source)
if #fields == 0 then return {'missing'} end
local kept = {values = true, value_terms = true, interrupts = true, version = true, schema = true,
  version_graph = true, original = true}
local terms
local rest_status
for i = 1, #fields, 2 do
  local name = fields[i]
  local replaced = args.metadata and string.sub(name, 1, 2) == 'm:'
  if kept[name] or (string.sub(name, 2, 2) == ':' and not replaced) then
    redis.call('HSET', thread, name, fields[i + 1])
  end
  if name == 'created_us' then redis.call('HSET', thread, 'copied_us', fields[i + 1]) end
  if name == 'terms' then terms = fields[i + 1] end
  if name == 'status' then rest_status = fields[i + 1] == 'interrupted' and 'interrupted' or 'idle' end
end
for field, value in pairs(args.metadata or {}) do redis.call('HSET', thread, 'm:' .. field, value) end
redis.call('HSET', thread, 'status', rest_status, 'idle_status', rest_status, 'token', args.token)
index_new_thread(args.thread_id, args.terms or terms or ANY_METADATA)
set_ttl(args.thread_id, args.ttl)
set_updated(args.thread_id)
return {'ok', redis.call('HGETALL', thread)}
