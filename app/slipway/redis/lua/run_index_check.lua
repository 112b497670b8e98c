--! needs: index_entries index_problems keys run_indexes terms
--! repeatable: yes
--! shard: thread
-- Compares runs with the indexes of runs across threads, and repairs the indexes on request.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `records` ({run, its updated_us, its index terms, that of its
--   error or ''} of each run that must be indexed; a run that has changed since is skipped), `entries` ({set, run} of
--   each entry whose run must have it), `repair`.
-- Reply: {problem, id} for each problem: 'run_not_indexed' or 'run_indexed_wrongly'.
-- Atomic: All of it.
-- Repeatable: Yes: a repaired problem is not found again.

local args = cmsgpack.unpack(ARGV[2])

-- The entries of a run with these terms; none if it must not be in the indexes, because its thread was deleted.
local function run_entries(run_id, fields, terms, error_term)
  if not fields[1] or redis.call('EXISTS', key('thread', fields[3])) == 0 then return {} end
  local entries = {{key('runs_with', phase_set(fields[1])), run_id, fields[2]}}
  for i = 1, #terms, TERM_LENGTH do
    entries[#entries + 1] = {key('runs_with', string.sub(terms, i, i + TERM_LENGTH - 1)), run_id, fields[2]}
  end
  if error_term ~= '' then entries[#entries + 1] = {key('runs_with', error_term), run_id, fields[2]} end
  return entries
end

local function fields_of(run_id)
  return redis.call('HMGET', key('run', run_id), 'phase', 'created_us', 'thread_id', 'updated_us', 'terms',
    'error_term')
end

for _, record in ipairs(args.records) do
  local run_id, updated_us, terms, error_term = unpack(record)
  local fields = fields_of(run_id)
  if fields[4] == updated_us then
    local entries = run_entries(run_id, fields, terms, error_term)
    local has_terms = fields[5] == terms and (fields[6] or '') == error_term
    local is_right = #entries == 0 or has_terms and are_stored(entries)
    if not is_right and record_index_problem('run_not_indexed', run_id, args.repair) then
      remove_entries(run_entries(run_id, fields, fields[5] or '', fields[6] or ''))
      add_entries(entries)
      redis.call('HSET', key('run', run_id), 'terms', terms)
      if error_term ~= '' then redis.call('HSET', key('run', run_id), 'error_term', error_term) end
    end
  end
end

for _, entry in ipairs(args.entries) do
  local set, run_id = key('runs_with', entry[1]), entry[2]
  local fields = fields_of(run_id)
  local entries = run_entries(run_id, fields, fields[5] or '', fields[6] or '')
  if redis.call('ZSCORE', set, run_id) and not has_entry(entries, set, run_id)
      and record_index_problem('run_indexed_wrongly', run_id, args.repair) then
    redis.call('ZREM', set, run_id)
  end
end
return index_problems
