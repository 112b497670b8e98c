--! needs: keys phases runs
--! repeatable: no
--! shard: thread
-- Deletes a run that ended, or that waits for approval.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `run_id`, `thread_id`.
-- Reply: {'ok'}; {'missing'}; {'active'}.
-- Atomic: The record, the thread's reference to it, and the expiry of its log.
-- Repeatable: No: a repetition replies 'missing'.

local args = cmsgpack.unpack(ARGV[2])
local fields = redis.call('HMGET', key('run', args.run_id), 'phase', 'thread_id')
if not fields[1] or fields[2] ~= args.thread_id then return {'missing'} end
if is_in_progress(fields[1]) then return {'active'} end
if redis.call('HGET', key('thread', args.thread_id), 'waiting_run_id') == args.run_id then
  redis.call('HDEL', key('thread', args.thread_id), 'waiting_run_id')
end
delete_run(args.run_id, args.thread_id)
return {'ok'}
