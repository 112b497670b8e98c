--! needs: cancel_causes clock control deliveries events groups keys leases phases thread_deletion
--! repeatable: no
--! shard: thread
-- Remove a thread with its runs, if it was created at `incarnation`, where that is said. A running attempt finds its run gone, and is told to stop.
-- Returns {'ok', when it was removed in µs} or {'missing'}.
local args = cmsgpack.unpack(ARGV[2])
local thread = key('thread', args.thread_id)
local created_us = redis.call('HGET', thread, 'created_us')
if not created_us or (args.incarnation and args.incarnation ~= created_us) then return {'missing'} end
local runs = redis.call('ZRANGE', key('thread_runs', args.thread_id), 0, -1)
for _, run_id in ipairs(runs) do
  local held = redis.call('HMGET', key('run', run_id), 'phase', 'attempt', 'worker')
  if is_in_progress(held[1]) then
    delete_job(run_id)
    release_lease(run_id)
    redis.call('HSET', key('run', run_id), 'cancel_action', 'interrupt')
    set_cancel_cause(key('run', run_id), 'thread ' .. args.thread_id .. ' was deleted')
    create_delivery(run_id, args.thread_id, 'interrupted')
    append_events(run_id, {end_event(run_id, 'interrupted')})
  end
  if held[3] then send_to_worker(held[3], run_id, 'lost') end
end
delete_thread(args.thread_id)
return {'ok', integer_text(now_us)}
