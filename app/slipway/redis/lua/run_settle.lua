--! needs: admission after_run cancel_causes clock concurrency_groups deliveries events fencing hashes keys metrics pending_counts redis_commands reviews rollouts run_indexes runs threads traces waiting_runs webhook_events
--! repeatable: yes
--! shard: thread
-- Ends a run: phase, error, result, thread state, last events, lease, delivery, and the thread's next run.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: see `runs.scripts.RunSettle`; result, values, interrupts, a part of the
--   spans and items of pending counts, each '' for none; name and frame of each of its `events`; the question of each
--   of its `reviews`; then the attempt's last commands: each is its count of words, then its words.
-- Reply: {'ok'}; {'fenced'}; {'cancel', action} if a cancel was requested and this is not its settlement.
-- Atomic: All of it.
-- Repeatable: Yes: a repetition by the attempt that settled the run replies 'ok'.

local args = cmsgpack.unpack(ARGV[2])
local run = key('run', args.run_id)
local owned = owned_run(args.run_id, args.attempt, args.incarnation)
if not owned then
  local ended = redis.call('HMGET', run, 'settled_by', 'created_us')
  return {ended[1] == tostring(args.attempt) and ended[2] == args.incarnation and 'ok' or 'fenced'}
end
if owned.cancel and args.phase ~= 'cancelled' then return {'cancel', owned.cancel} end

local new = is_next_write_group(owned, args.seq)
if new == nil then return {'fenced'} end
-- the first write must not need memory: a full Redis rejects a script if its first write does
local cleared = redis.call('HDEL', run, 'worker', 'inline_request', 'crashes', 'crashed_attempt', 'crashed_worker')
local first_question = 8 + 2 * args.events
local first_command = first_question + (args.reviews and #args.reviews or 0)
if new then execute_commands(first_command) end
local values, interrupts = ARGV[4] ~= '' and ARGV[4] or nil, ARGV[5] ~= '' and ARGV[5] or nil
local entries = event_arguments(8, args.events)
entries[#entries + 1] = end_event(args.run_id, args.status, ARGV[3], args.phase)
local last_event = append_to_log(args.run_id, entries, owned.last_event)
local spans = ARGV[6] ~= '' and store_spans(args.run_id, ARGV[6], last_event) or ''
redis.call('HSET', run, 'phase', args.phase, 'reason', args.reason, 'usage', args.usage, 'settled_by', args.attempt,
  'updated_us', now_us, 'ended_us', now_us, 'last_event', last_event,
  unpack(args.trace_bytes and {'trace_bytes', args.trace_bytes} or {}))
index_phase(args.run_id, args.incarnation, 'running', args.phase)
store_counts((end_items(args.graph_id, args.phase, args.incarnation, args.error and args.reason, owned.trace) or '')
  .. (new and ARGV[7] or '') .. spans)
if args.counted then count_run(args.run_id, args.counted[1], args.counted[2]) end
if args.error then
  redis.call('HSET', run, 'error', args.error)
  index_error(args.run_id, args.incarnation, args.error_term)
  -- `input_not_stored`: nothing was stored, not even the input
  if owned.seq == 0 and #ARGV < first_command and args.attempt == 1 then
    redis.call('HSET', run, 'input_not_stored', 1)
  end
end
if args.learnt then learn_run_bytes(unpack(args.learnt)) end
if cleared > 1 then redis.call('SREM', key('running_suspects'), args.run_id) end -- more than its worker
redis.call('ZREM', key('leases'), args.run_id)
if owned.groups then free_concurrency_slots(args.run_id, decoded_groups(owned.groups)) end
if args.compact_log then compact_log(args.run_id) end
redis.call('EXPIRE', key('events', args.run_id), args.event_ttl_s)

local changes = {}
if values then
  changes = {'values', values, 'value_terms', args.value_terms, 'state_us', now_us, 'interrupts', interrupts or '{}'}
  index_state_updated(owned.thread_id)
elseif interrupts then
  changes = {'interrupts', interrupts}
end
local thread_error = args.phase == 'cancelled' and cancel_error(run) or args.thread_error
if thread_error then changes = joined(changes, {'error', thread_error}) end
local waits = args.phase == 'waiting_for_approval'
if waits then changes = joined(changes, {'waiting_run_id', args.run_id}) end
local shown_status = args.rollback and 'rollback' or args.status
if owned.webhook == 'pending' then
  create_delivery(args.run_id, owned.thread_id, shown_status, values, interrupts, args.thread_error)
end
if is_anything_subscribed() then
  emit_run(args.run_id, args.phase, {status = shown_status, values = values, interrupts = interrupts,
    shown_error = args.thread_error})
end
if args.delete_calls then
  redis.call('DEL', key('thread_calls', owned.thread_id), key('thread_approvals', owned.thread_id))
end
if args.rollback then delete_run(args.run_id, owned.thread_id) end
-- a temporary thread is deleted now, so nobody can answer
if waits and redis.call('HGET', key('thread', owned.thread_id), 'temporary') == '1' then
  abandon_waiting_run(args.run_id, 'its thread was deleted')
elseif waits and args.reviews then
  open_reviews(args.run_id, owned.thread_id, args.continued, args.reviews, first_question)
end
start_next_run_or_idle(owned.thread_id, args.thread_status, changes, values and args.value_terms)
return {'ok'}
