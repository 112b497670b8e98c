-- Remove a run that is over. Returns {'ok'}, {'missing'} or {'active'}.
local A = cmsgpack.unpack(ARGV[2])
local held = redis.call('HMGET', key('run', A.run_id), 'phase', 'thread_id')
if not held[1] or held[2] ~= A.thread_id then return {'missing'} end
if held[1] == 'queued' or held[1] == 'running' or held[1] == 'paused' then return {'active'} end
if redis.call('HGET', key('thread', A.thread_id), 'waiting') == A.run_id then
  redis.call('HDEL', key('thread', A.thread_id), 'waiting')
end
drop_run(A.run_id, A.thread_id)
return {'ok'}
