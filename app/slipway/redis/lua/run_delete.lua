--! needs: keys phases runs
--! repeatable: no
--! shard: thread
-- Remove a run that is over. Returns {'ok'}, {'missing'} or {'active'}.
local args = cmsgpack.unpack(ARGV[2])
local held = redis.call('HMGET', key('run', args.run_id), 'phase', 'thread_id')
if not held[1] or held[2] ~= args.thread_id then return {'missing'} end
if is_in_progress(held[1]) then return {'active'} end
if redis.call('HGET', key('thread', args.thread_id), 'waiting_run_id') == args.run_id then
  redis.call('HDEL', key('thread', args.thread_id), 'waiting_run_id')
end
delete_run(args.run_id, args.thread_id)
return {'ok'}
