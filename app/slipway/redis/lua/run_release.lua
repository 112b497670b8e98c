--! needs: events fencing keys metrics pending_counts redis_commands requeue rollouts traces
--! repeatable: yes
--! shard: thread
-- Gives a run back to the queue, with the last writes of its attempt, which does not count towards `max_attempts`. The
-- run is paused instead if an operator has requested that, or if the attempt has stopped before a `switch` that is off.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: see `runs.scripts.RunRelease`; a part of the spans and items of pending
--   counts, each '' for none; name and frame of each of its `events`; then the commands: each is its count of words,
--   then its words.
-- Reply: {'ok'}; if the run is paused now, {'ok', by what: 'operator', 'switch' or 'attempt' (its own `pause`), the
--   reason}; {'fenced'}.
-- Atomic: Commands, events, lease, job, and the thread's order of runs.
-- Repeatable: Yes: the attempt owns the run no longer, so nothing changes.

local args = cmsgpack.unpack(ARGV[2])
local owned = owned_run(args.run_id, args.attempt, args.incarnation)
local new = owned and is_next_write_group(owned, args.seq)
if new == nil then return {'fenced'} end
-- the first write must not need memory: a full Redis rejects a script if its first write does
redis.call('ZREM', key('leases'), '')
if new then execute_commands(5 + 2 * args.events) end
local counts = new and ARGV[4] or ''
local last_event = append_to_log(args.run_id, event_arguments(5, args.events), owned.last_event)
redis.call('HSET', key('run', args.run_id), 'usage', args.usage, 'last_group', args.seq, 'last_event', last_event)
if ARGV[3] ~= '' then
  redis.call('HSET', key('run', args.run_id), 'trace_bytes', args.trace_bytes)
  counts = store_spans(args.run_id, ARGV[3], args.events > 0 and last_event) .. counts
end
if args.version then
  redis.call('HSET', key('run', args.run_id), 'version', args.version, 'version_fixed', 'returned')
end
count_metric('attempts_ended\31' .. args.graph_id .. '\31released')
if args.pause and args.pause.error then
  count_run(args.run_id, 'failed')
  local code = args.pause.details.code
  if string.sub(code, 1, 8) == 'ceiling.' then
    count_metric('ceilings_reached\31' .. args.graph_id .. '\31' .. code)
  end
end
local pause = requeue(args.run_id, owned.thread_id, false, args.announce, args.reason, args.delay_ms, args.switch,
  args.pause)
store_counts(counts)
if not pause then return {'ok'} end
return {'ok', pause.operator and 'operator' or pause.switch and 'switch' or 'attempt', pause.reason}
