--! needs: clock keys thread_deletion threads
--! repeatable: yes
--! shard: thread
-- Threads whose time is over, at most `limit`, from the one that is due for the longest time. Those to be deleted are
-- gone at once; a busy one waits for the next sweep; of the others the checkpoints are to be shrunk. `shrunk` are
-- those for which that was done, each with its time of creation: their time begins anew.
-- Returns {ids deleted, {id to shrink, when it was created, ...}, how many were busy}.
local args = cmsgpack.unpack(ARGV[2])
for _, pair in ipairs(args.shrunk) do
  local thread_id = pair[1]
  local held = redis.call('HMGET', key('thread', thread_id), 'created_us', 'ttl')
  local minutes = held[2]
  if held[1] and held[1] ~= pair[2] then
    -- another thread by now
  elseif minutes then
    set_ttl(thread_id, {minutes = minutes, strategy = 'keep_latest', ms = math.ceil(tonumber(minutes) * 60000)})
  else
    redis.call('ZREM', key('threads_due'), thread_id)
  end
end
local deleted, shrink, busy = {}, {}, 0
for _, thread_id in ipairs(redis.call('ZRANGEBYSCORE', key('threads_due'), '-inf', integer_text(now_ms), 'LIMIT', 0, args.limit)) do
  local held = redis.call('HMGET', key('thread', thread_id), 'status', 'ttl_strategy', 'created_us')
  if not held[1] or not held[2] then
    redis.call('ZREM', key('threads_due'), thread_id)
  elseif held[1] == 'busy' then
    redis.call('ZADD', key('threads_due'), integer_text(now_ms), thread_id)
    busy = busy + 1
  elseif held[2] == 'keep_latest' then
    shrink[#shrink + 1] = thread_id
    shrink[#shrink + 1] = held[3]
  else
    delete_thread(thread_id)
    deleted[#deleted + 1] = thread_id
  end
end
return {deleted, shrink, busy}
