-- Cancel a run: at once when it never started, else by asking its attempt.
-- Returns {'ok'}, {'missing'} or {'final'}.
local A = cmsgpack.unpack(ARGV[2])
local run = key('run', A.run_id)
local held = redis.call('HMGET', run, 'phase', 'thread_id', 'attempt')
if not held[1] or held[2] ~= A.thread_id then return {'missing'} end
if held[1] == 'queued' and held[3] == '0' then
  cancel_waiting(A.run_id, A.thread_id, A.action, A.cause, A.reason, A.event_ttl_s)
  if not redis.call('HGET', key('thread', A.thread_id), 'active') then rest(A.thread_id) end
  return {'ok'}
end
if held[1] == 'queued' or held[1] == 'running' then
  ask_to_cancel(A.run_id, A.action, A.cause, A.reason)
  return {'ok'}
end
return {'final'}
