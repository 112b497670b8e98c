--! needs: clock keys
--! repeatable: yes
--! shard: processes
-- Give a duty to a worker when nobody who lives has it, or go on with the one who has it. Returns 1 when it is the
-- worker's.
local args = cmsgpack.unpack(ARGV[2])
local duty = key('duty', args.duty)
local holder = redis.call('GET', duty)
if holder and holder ~= args.worker and redis.call('ZSCORE', key('workers'), holder) then return 0 end
redis.call('SET', duty, args.worker, 'PX', integer_text(args.for_ms))
return 1
