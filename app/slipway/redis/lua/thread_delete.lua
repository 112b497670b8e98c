-- Remove a thread with its runs, if it was created at `incarnation`, where that is said. A running attempt finds its run gone, and is told to stop.
-- Returns {'ok', when it was removed in µs} or {'missing'}.
local A = cmsgpack.unpack(ARGV[2])
local thread = key('thread', A.thread_id)
local created_us = redis.call('HGET', thread, 'created_us')
if not created_us or (A.incarnation and A.incarnation ~= created_us) then return {'missing'} end
local runs = redis.call('ZRANGE', key('thread_runs', A.thread_id), 0, -1)
for _, run_id in ipairs(runs) do
  local held = redis.call('HMGET', key('run', run_id), 'phase', 'attempt', 'worker')
  if held[1] == 'queued' or held[1] == 'running' or held[1] == 'paused' then
    drop_job(run_id)
    give_up_lease(run_id)
    redis.call('HSET', key('run', run_id), 'cancel', 'interrupt')
    say_why_cancelled(key('run', run_id), 'thread ' .. A.thread_id .. ' was deleted')
    notify(run_id, A.thread_id, 'interrupted')
    append(run_id, {end_entry(run_id, 'interrupted')})
  end
  if held[3] then tell_worker(held[3], run_id, 'lost') end
end
drop_thread(A.thread_id)
return {'ok', whole(now_us)}
