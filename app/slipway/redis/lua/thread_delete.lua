--! needs: cancel_causes clock concurrency_groups deliveries events keys leases phases thread_deletion worker_messages
--! repeatable: no
--! shard: thread
-- Deletes a thread with its runs. A running attempt is fenced, and its worker receives a message to stop
-- it.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `thread_id`, `incarnation` (creation time in µs that the thread must have,
--   or nil).
-- Reply: {'ok', time of deletion in µs, creation time in µs, whether it may have crons: 1 or nothing}; {'missing'}.
-- Atomic: Everything but the checkpoints and the crons: the thread is in the trash until its checkpoints are deleted.
-- Repeatable: No: a repetition replies 'missing'.

local args = cmsgpack.unpack(ARGV[2])
local thread = key('thread', args.thread_id)
local created_us, has_crons = unpack(redis.call('HMGET', thread, 'created_us', 'has_crons'))
if not created_us or (args.incarnation and args.incarnation ~= created_us) then return {'missing'} end
-- the first write must not need memory: a full Redis rejects a script if its first write does
redis.call('ZREM', key('leases'), '')
local runs = redis.call('ZRANGE', key('thread_runs', args.thread_id), 0, -1)
for _, run_id in ipairs(runs) do
  local fields = redis.call('HMGET', key('run', run_id), 'phase', 'attempt', 'worker')
  if is_in_progress(fields[1]) then
    delete_job(run_id)
    release_lease(run_id)
    redis.call('HSET', key('run', run_id), 'cancel_action', 'interrupt')
    set_cancel_cause(key('run', run_id), 'thread ' .. args.thread_id .. ' was deleted')
    create_delivery(run_id, args.thread_id, 'interrupted')
    append_events(run_id, {end_event(run_id, 'interrupted')})
  end
  if fields[3] then send_to_worker(fields[3], run_id, 'lost') end
end
delete_thread(args.thread_id)
return {'ok', integer_text(now_us), created_us, has_crons}
