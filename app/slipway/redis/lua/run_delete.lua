--! needs: after_run deliveries events keys phases runs threads
--! repeatable: no
--! shard: thread
-- Deletes a run that ended, waits for approval, or is paused.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `run_id`, `thread_id`.
-- Reply: {'ok'}; {'missing'}; {'active'}.
-- Atomic: The record, the thread's reference to it, and the expiry of its log. For a paused run also its end event, its
--   delivery and the thread's next run.
-- Repeatable: No: a repetition replies 'missing'.

local args = cmsgpack.unpack(ARGV[2])
local fields = redis.call('HMGET', key('run', args.run_id), 'phase', 'thread_id')
if not fields[1] or fields[2] ~= args.thread_id then return {'missing'} end
if fields[1] == 'paused' then
  redis.call('ZREM', key('thread_queue', args.thread_id), args.run_id)
  create_delivery(args.run_id, args.thread_id, 'rollback')
  append_events(args.run_id, {end_event(args.run_id, 'interrupted')})
  notify_thread(args.thread_id)
  delete_run(args.run_id, args.thread_id)
  local active = redis.call('HGET', key('thread', args.thread_id), 'active_run_id')
  if not active then start_next_run_or_idle(args.thread_id) end
  return {'ok'}
end
if is_in_progress(fields[1]) then return {'active'} end
if redis.call('HGET', key('thread', args.thread_id), 'waiting_run_id') == args.run_id then
  redis.call('HDEL', key('thread', args.thread_id), 'waiting_run_id')
end
delete_run(args.run_id, args.thread_id)
return {'ok'}
