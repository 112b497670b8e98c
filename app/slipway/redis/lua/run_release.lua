--! needs: commands events fencing keys requeue
--! repeatable: yes
--! shard: thread
-- Hand a run back to the queue, with the attempt's last writes. ARGV as for settle. Returns {'ok'} or {'fenced'}.
local args = cmsgpack.unpack(ARGV[2])
local owned = owned_run(args.run_id, args.attempt, args.incarnation)
local new = owned and is_next_group(owned, args.seq)
if new == nil then return {'fenced'} end
if new then run_commands(3) end
redis.call('HSET', key('run', args.run_id), 'usage', args.usage, 'last_group', args.seq)
append_events(args.run_id, args.entries)
requeue(args.run_id, owned.thread_id, args.counted, args.reason, args.delay_ms)
if args.announce then redis.call('HSET', key('run', args.run_id), 'announce_attempt', 1) end
return {'ok'}
