--! needs: audit clock keys metrics reviews webhook_events
--! repeatable: yes
--! shard: thread
-- Changes a review that nobody has changed since it was read.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: see `reviews.scripts.ReviewChange`; the answer in its stored form, '' for
--   none.
-- Reply: {'ok'}; {'answered', run id, thread id} if now every question of the run has an answer; {'missing'};
--   {'changed'} if the review was changed, or is not due any more; {'overdue'} if it must not be changed after its due
--   time.
-- Atomic: The record, its indexes and timer, the approval of a call, the audit trail, and that the due time has come.
-- Repeatable: Yes: a repetition is known by its `request`.

local args = cmsgpack.unpack(ARGV[2])
local record = key('review', args.review_id)
local state, revision, request, due_us, created_us, terms, run_id, thread_id, graph_id = unpack(redis.call('HMGET',
  record, 'state', 'revision', 'request', 'due_us', 'created_us', 'terms', 'run_id', 'thread_id', 'graph_id'))
if not state then return {'missing'} end

local function reply()
  local reviews = args.state == 'held' and redis.call('HGET', key('run', run_id), 'reviews')
  if reviews and is_answered(run_id, reviews) then return {'answered', run_id, thread_id} end
  return {'ok'}
end

if request == args.request then return reply() end
if revision ~= args.revision or not PENDING[state] then return {'changed'} end
local overdue = due_us and tonumber(due_us) <= now_us
if overdue and args.before_due then return {'overdue'} end
if args.after_due and not overdue then return {'changed'} end

if #args.deleted > 0 then redis.call('HDEL', record, unpack(args.deleted)) end
redis.call('HSET', record, 'request', args.request, 'updated_us', now_us, unpack(args.fields))
if ARGV[3] ~= '' then redis.call('HSET', record, 'answer', ARGV[3]) end
for name, delay_ms in pairs(args.delays_ms) do
  redis.call('HSET', record, name, integer_text((now_ms + delay_ms) * 1000))
end
redis.call('HINCRBY', record, 'revision', 1)
if args.state and args.state ~= state then
  redis.call('HSET', record, 'state', args.state)
  if args.state == 'held' then count_review(graph_id, args.after_due and 'expired' or 'decided', created_us) end
  index_review_state(args.review_id, graph_id, created_us, due_us, state, args.state)
end
if args.terms and args.terms ~= terms then
  redis.call('HSET', record, 'terms', args.terms)
  index_review_terms(args.review_id, created_us, terms, args.terms)
end
local times = args.state ~= 'held' and redis.call('HMGET', record, 'due_us', 'remind_us', 'escalate_us', 'follow_up_us')
set_review_timer(args.review_id, times or {})
if args.approval then store_approval(args.approval) end
append_audit(run_id, args.audit.action, args.audit.actor, args.audit.details)
if args.after_due then emit_review('due', args.review_id) end
if args.state == 'held' then emit_review(args.after_due and 'expired' or 'decided', args.review_id) end
notify_reviews(args.review_id)
local replied = reply()
if replied[1] == 'answered' then redis.call('ZADD', key('reviews_ready'), integer_text(now_ms), run_id) end
return replied
