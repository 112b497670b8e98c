--! needs: cron_indexes index_entries index_problems keys
--! repeatable: yes
--! shard: crons
--! keys: crons crons_by crons_with
-- Compares crons with their indexes, and repairs the indexes on request.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `records` ({cron, its updated_us, its index terms} of each cron;
--   one that has changed since is skipped), `entries` ({key of the set, member, cron} of each entry whose cron must
--   have it), `repair`.
-- Reply: {problem, id} for each problem: 'cron_not_indexed' or 'cron_indexed_wrongly'.
-- Atomic: All of it.
-- Repeatable: Yes: a repaired problem is not found again.

local args = cmsgpack.unpack(ARGV[2])

for _, record in ipairs(args.records) do
  local cron_id, updated_us, terms = unpack(record)
  local cron = key('cron', cron_id)
  local fields = redis.call('HMGET', cron, 'updated_us', 'terms')
  if fields[1] == updated_us then
    local before = cron_entries(cron_id)
    local is_right = fields[2] == terms and are_stored(before)
    if not is_right and record_index_problem('cron_not_indexed', cron_id, args.repair) then
      remove_entries(before)
      redis.call('HSET', cron, 'terms', terms)
      add_entries(cron_entries(cron_id))
    end
  end
end

for _, entry in ipairs(args.entries) do
  local set, member, cron_id = unpack(entry)
  if redis.call('ZSCORE', set, member) and not has_entry(cron_entries(cron_id), set, member)
      and record_index_problem('cron_indexed_wrongly', cron_id, args.repair) then
    redis.call('ZREM', set, member)
  end
end
return index_problems
