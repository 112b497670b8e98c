-- Merge fields into a thread; note a checkpoint that was written from outside a run. Returns {'ok', thread fields}, or
-- {'missing'}, also when the thread was not created at the time that is asked for.
local A = cmsgpack.unpack(ARGV[2])
local thread = key('thread', A.thread_id)
local created_us = redis.call('HGET', thread, 'created_us')
if not created_us or (A.incarnation and A.incarnation ~= created_us) then return {'missing'} end
local metadata_changed = false
for field, value in pairs(A.fields) do
  if string.sub(field, 1, 2) == 'm:' and redis.call('HGET', thread, field) ~= value then metadata_changed = true end
  redis.call('HSET', thread, field, value)
end
if metadata_changed then wake_thread(A.thread_id, 'metadata') end
if A.state then
  redis.call('HSET', thread, 'state_us', whole(now_us), 'rest_status', A.state)
  if redis.call('HGET', thread, 'status') ~= 'busy' then
    redis.call('HSET', thread, 'status', A.state)
    local waiting = redis.call('HGET', thread, 'waiting')
    if waiting and A.state ~= 'interrupted' then
      redis.call('HDEL', thread, 'waiting')
      if redis.call('HGET', key('run', waiting), 'phase') == 'waiting_for_approval' then
        abandon(waiting, 'the state was changed from outside')
      end
    end
  end
end
if A.checkpoint_id then
  local states = key('thread_states', A.thread_id)
  redis.call('ZADD', states, whole(now_us), A.checkpoint_id)
  redis.call('ZREMRANGEBYRANK', states, 0, -A.states_kept - 1)
  redis.call('EXPIRE', states, A.event_ttl_s)
  wake_thread(A.thread_id)
end
set_ttl(A.thread_id, A.ttl)
touch(A.thread_id)
return {'ok', redis.call('HGETALL', thread)}
