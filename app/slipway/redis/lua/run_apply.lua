--! needs: commands events fencing keys
--! repeatable: yes
--! shard: thread
-- One group of writes of an attempt, fenced by its number and numbered by `seq` so that a repetition changes nothing.
-- ARGV: prefix, run, attempt, the run's time of creation, seq, count of events, (name, frame) of each, then commands as
-- length and words.
-- Returns {'ok', how to cancel or ''}, {'fenced'}, or {'early'} when a group before it is missing.
local run_id, attempt, seq, count = ARGV[2], ARGV[3], tonumber(ARGV[5]), tonumber(ARGV[6])
local owned = owned_run(run_id, attempt, ARGV[4])
if not owned then return {'fenced'} end
local new = is_next_group(owned, seq)
if new == nil then return {'early'} end
if new then
  local entries = {}
  for i = 1, count do entries[i] = {ARGV[5 + 2 * i], ARGV[6 + 2 * i], ''} end
  run_commands(7 + 2 * count)
  append_events(run_id, entries)
  redis.call('HSET', key('run', run_id), 'last_group', seq)
end
return {'ok', owned.cancel or ''}
