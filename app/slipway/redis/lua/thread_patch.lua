--! needs: clock keys reviews threads waiting_runs
--! repeatable: yes
--! shard: thread
-- Changes fields of a thread, and stores that a checkpoint was written from outside a run.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `thread_id`, `fields` (map of field to text), `members` (digests of the
--   metadata members among them), `terms` (packed, of these members), `value_terms` (packed, of the values), `state`
--   (the status that follows from the new state, or nil), `checkpoint_id` or nil, `event_ttl_s`, `max_state_writes`,
--   `ttl` (map or nil), `incarnation` (creation time in µs that the thread must have, or nil); with a new state its
--   values and interrupts.
-- Reply: {'ok', fields}; {'missing'}.
-- Atomic: The record, the indexes, and the run that waited for approval, if the new state needs no approval.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local thread = key('thread', args.thread_id)
local created_us = redis.call('HGET', thread, 'created_us')
if not created_us or (args.incarnation and args.incarnation ~= created_us) then return {'missing'} end
local metadata_changed, status = false, nil
for field, value in pairs(args.fields) do
  if string.sub(field, 1, 2) == 'm:' and redis.call('HGET', thread, field) ~= value then metadata_changed = true end
  redis.call('HSET', thread, field, value)
end
replace_terms(args.thread_id, args.members, args.terms)
if metadata_changed then notify_thread(args.thread_id, 'metadata') end
if args.state then
  redis.call('HSET', thread, 'idle_status', args.state, 'values', ARGV[3], 'interrupts', ARGV[4])
  replace_value_terms(args.thread_id, args.value_terms)
  set_state_updated(args.thread_id)
  if redis.call('HGET', thread, 'status') ~= 'busy' then
    status = args.state
    local waiting = redis.call('HGET', thread, 'waiting_run_id')
    local why = 'the state was changed through the API'
    if waiting and args.state ~= 'interrupted' then
      redis.call('HDEL', thread, 'waiting_run_id')
      if redis.call('HGET', key('run', waiting), 'phase') == 'waiting_for_approval' then
        abandon_waiting_run(waiting, why)
      end
    elseif waiting then
      -- the tasks of a new checkpoint have other ids, so nobody can answer the questions of the earlier ones
      local reviews = redis.call('HGET', key('run', waiting), 'reviews')
      if reviews then end_reviews(waiting, reviews, why) end
    end
  end
end
if args.checkpoint_id then
  local states = key('thread_states', args.thread_id)
  local stored = false -- when this script is repeated
  for _, member in ipairs(redis.call('ZRANGE', states, 0, -1)) do
    stored = stored or string.sub(member, -#args.checkpoint_id) == args.checkpoint_id
  end
  -- The state follows the run that started last; the time orders the states that follow one run.
  local ordinal = redis.call('HGET', thread, 'started_runs') or 0
  if not stored then redis.call('ZADD', states, ordinal, integer_text(now_us) .. ':' .. args.checkpoint_id) end
  redis.call('ZREMRANGEBYRANK', states, 0, -args.max_state_writes - 1)
  redis.call('EXPIRE', states, args.event_ttl_s)
  notify_thread(args.thread_id)
end
set_ttl(args.thread_id, args.ttl)
set_updated(args.thread_id, status)
return {'ok', redis.call('HGETALL', thread)}
