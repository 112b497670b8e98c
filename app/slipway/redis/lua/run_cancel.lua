--! needs: cancel idle keys
--! repeatable: yes
--! shard: thread
-- Cancel a run: at once when it never started, else by asking its attempt.
-- Returns {'ok'}, {'missing'} or {'final'}.
local args = cmsgpack.unpack(ARGV[2])
local run = key('run', args.run_id)
local held = redis.call('HMGET', run, 'phase', 'thread_id', 'attempt')
if not held[1] or held[2] ~= args.thread_id then return {'missing'} end
if held[1] == 'queued' and held[3] == '0' then
  cancel_queued_run(args.run_id, args.thread_id, args.action, args.cause, args.reason, args.event_ttl_s)
  if not redis.call('HGET', key('thread', args.thread_id), 'active_run_id') then
    start_next_run_or_idle(args.thread_id)
  end
  return {'ok'}
end
if held[1] == 'queued' or held[1] == 'running' then
  request_cancel(args.run_id, args.action, args.cause, args.reason)
  return {'ok'}
end
return {'final'}
