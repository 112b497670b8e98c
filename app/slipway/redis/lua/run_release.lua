-- Hand a run back to the queue, with the attempt's last writes. ARGV as for settle. Returns {'ok'} or {'fenced'}.
local A = cmsgpack.unpack(ARGV[2])
local held = held_by(A.run_id, A.attempt, A.incarnation)
local new = held and is_next(held, A.seq)
if new == nil then return {'fenced'} end
if new then run_commands(3, #ARGV) end
redis.call('HSET', key('run', A.run_id), 'usage', A.usage, 'seq', A.seq)
append(A.run_id, A.entries)
requeue(A.run_id, held.thread_id, A.counted, A.reason, A.delay_ms)
if A.announce then redis.call('HSET', key('run', A.run_id), 'announce', 1) end
return {'ok'}
