--! needs: assistant_indexes index_entries index_problems keys
--! repeatable: yes
--! shard: assistants
--! keys: assistants assistants_by assistants_with graph_assistants
-- Compares assistants with their indexes, and repairs the indexes on request.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `records` ({assistant, its updated_us, its index terms} of each
--   assistant; one that has changed since is skipped), `entries` ({key of the set, member, assistant} of each entry
--   whose assistant must have it), `repair`.
-- Reply: {problem, id} for each problem: 'assistant_not_indexed' or 'assistant_indexed_wrongly'.
-- Atomic: All of it.
-- Repeatable: Yes: a repaired problem is not found again.

local args = cmsgpack.unpack(ARGV[2])

local function fields_of(assistant_id)
  return redis.call('HMGET', key('assistant', assistant_id), 'created_us', 'updated_us', 'content')
end

for _, record in ipairs(args.records) do
  local assistant_id, updated_us, terms = unpack(record)
  local fields = fields_of(assistant_id)
  if fields[2] == updated_us then
    local content = cmsgpack.unpack(fields[3])
    local before = assistant_entries(assistant_id, fields[1], fields[2], content)
    local is_right = content.terms == terms and are_stored(before)
    if not is_right and record_index_problem('assistant_not_indexed', assistant_id, args.repair) then
      remove_entries(before)
      content.terms = terms
      redis.call('HSET', key('assistant', assistant_id), 'content', cmsgpack.pack(content))
      add_entries(assistant_entries(assistant_id, fields[1], fields[2], content))
    end
  end
end

for _, entry in ipairs(args.entries) do
  local set, member, assistant_id = unpack(entry)
  local fields = fields_of(assistant_id)
  local entries = fields[3] and assistant_entries(assistant_id, 0, 0, cmsgpack.unpack(fields[3])) or {}
  if redis.call('ZSCORE', set, member) and not has_entry(entries, set, member)
      and record_index_problem('assistant_indexed_wrongly', assistant_id, args.repair) then
    redis.call('ZREM', set, member)
  end
end
return index_problems
