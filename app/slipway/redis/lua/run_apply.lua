--! needs: events fencing keys pending_counts redis_commands traces
--! repeatable: yes
--! shard: thread
-- Applies one write group of an attempt: commands and events.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; run; attempt; creation time of the run in µs; number of the write group; usage of the chain, or
--   '' to leave it unchanged; a part of the spans, or ''; how many bytes the run's spans have with it; items of pending
--   counts, or ''; count of events; name and frame of each; then the commands: each is its count of words, then its
--   words.
-- Reply: {'ok', cancel action or ''}; {'fenced'}; {'early'} if a write group before this one is missing.
-- Atomic: The commands, the events with their notification, the usage, the spans, the counts, and the number of the
--   write group.
-- Repeatable: Yes: a write group whose number is not the next one changes nothing.

local run_id, attempt, seq, usage = ARGV[2], ARGV[3], tonumber(ARGV[5]), ARGV[6]
local counts, count = ARGV[9], tonumber(ARGV[10])
local owned = owned_run(run_id, attempt, ARGV[4])
if not owned then return {'fenced'} end
local new = is_next_write_group(owned, seq)
if new == nil then return {'early'} end
if new then
  execute_commands(11 + 2 * count)
  local last_event = append_to_log(run_id, event_arguments(11, count), owned.last_event)
  if ARGV[7] ~= '' then
    counts = store_spans(run_id, ARGV[7], count > 0 and last_event) .. counts
    redis.call('HSET', key('run', run_id), 'last_group', seq, 'last_event', last_event, 'trace_bytes', ARGV[8],
      unpack(usage ~= '' and {'usage', usage} or {}))
  elseif usage == '' then
    redis.call('HSET', key('run', run_id), 'last_group', seq, 'last_event', last_event)
  else
    redis.call('HSET', key('run', run_id), 'last_group', seq, 'last_event', last_event, 'usage', usage)
  end
  store_counts(counts)
end
return {'ok', owned.cancel or ''}
