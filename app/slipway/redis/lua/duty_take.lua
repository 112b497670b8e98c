-- Give a duty to a worker when nobody who lives has it, or go on with the one who has it. Returns 1 when it is the
-- worker's.
local A = cmsgpack.unpack(ARGV[2])
local duty = key('duty', A.duty)
local holder = redis.call('GET', duty)
if holder and holder ~= A.worker and redis.call('ZSCORE', key('workers'), holder) then return 0 end
redis.call('SET', duty, A.worker, 'PX', whole(A.for_ms))
return 1
