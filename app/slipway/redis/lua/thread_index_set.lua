--! needs: keys terms
--! repeatable: yes
--! shard: thread
-- Compares members of one set of an index of threads with their records, and removes those that do not belong there on
-- request.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `name` (of the set: a status or a term), `ids`, `repair`.
-- Reply: ids of the members that do not exist, or have another status or not this term.
-- Atomic: All members of one call.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local stale = {}
for _, thread_id in ipairs(args.ids) do
  local fields = redis.call('HMGET', key('thread', thread_id), 'status', 'terms', 'value_terms')
  local belongs = fields[1] == args.name
  if #args.name == TERM_LENGTH then
    belongs = string.find((fields[2] or '') .. (fields[3] or ''), args.name, 1, true)
  end
  if not belongs and redis.call('ZSCORE', key('threads_with', args.name), thread_id) then
    stale[#stale + 1] = thread_id
    if args.repair then redis.call('ZREM', key('threads_with', args.name), thread_id) end
  end
end
return stale
