--! needs: clock hook_deliveries keys
--! repeatable: no
--! shard: hooks
-- Stores a delivery, or finds the first one with its id.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `delivery`, `hook`, `fields` (name, value, …), `state`, `run_id`,
--   `thread_id`, `status` (unless `received`), `retention_s`, `finish_after_ms`; the stored form of the body; the
--   answer, '' for the state `received`.
-- Reply: {'answered', status, answer} if the first one has an answer that stays; {'received', run id, thread id, 0 or 1
--   for a repetition}; {'stored'} if the answer is stored.
-- Atomic: The record, its indexes and the counts.
-- Repeatable: No: a repetition counts as a repetition of the delivery.

local args = cmsgpack.unpack(ARGV[2])
local record = key('hook_delivery', args.delivery)
local state, status, answer, run_id, thread_id, received_us = unpack(redis.call('HMGET', record, 'state',
  'answer_status', 'answer', 'run_id', 'thread_id', 'received_us'))

if state then
  redis.call('HINCRBY', record, 'repetitions', 1)
  redis.call('HINCRBY', key('hook_counts', args.hook), 'repeated', 1)
  if ANSWERED_FOR_GOOD[state] then return {'answered', status, answer} end
  if state == 'rejected' then redis.call('HSET', record, 'raw_body', ARGV[3], unpack(args.fields)) end
  set_hook_state(args.delivery, args.hook, received_us, state, args, ARGV[4])
  if args.state == 'received' then return {'received', run_id, thread_id, 1} end
  return {'stored'}
end

redis.call('HSET', record, 'raw_body', ARGV[3], 'received_us', now_us, 'run_id', args.run_id,
  'thread_id', args.thread_id, unpack(args.fields))
redis.call('EXPIRE', record, args.retention_s)
set_hook_state(args.delivery, args.hook, now_us, false, args, ARGV[4])

local all = key('hook_deliveries', args.hook)
redis.call('ZADD', all, now_us, args.delivery)
redis.call('ZREMRANGEBYSCORE', all, '-inf', '(' .. integer_text(now_us - args.retention_s * 1000000))
redis.call('EXPIRE', all, args.retention_s)
if args.state == 'received' then return {'received', args.run_id, args.thread_id, 0} end
return {'stored'}
