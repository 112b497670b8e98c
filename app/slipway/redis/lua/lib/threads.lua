--! needs: clock keys
-- The thread record and the indexes of threads.

local function set_updated(thread_id)
  redis.call('HSET', key('thread', thread_id), 'updated_us', integer_text(now_us))
  redis.call('ZADD', key('threads'), integer_text(now_us), thread_id)
end

-- Starts the time to live of a thread again. `ttl` is {minutes, strategy, ms}; nil changes nothing.
local function set_ttl(thread_id, ttl)
  if not ttl then return end
  local due_ms = now_ms + ttl.ms
  redis.call('HSET', key('thread', thread_id), 'ttl', ttl.minutes, 'ttl_strategy', ttl.strategy,
    'expires_us', integer_text(due_ms * 1000))
  redis.call('ZADD', key('threads_due'), integer_text(due_ms), thread_id)
end

-- Notifies the followers of a thread. `change` is 'metadata' if its metadata changed, so that access filters must be
-- checked again, else nil.
local function notify_thread(thread_id, change)
  redis.call('PUBLISH', key('thread_notifications', thread_id), change or '')
end

-- Whether checkpoints of a deleted thread with this id may still exist. Then no thread is created under the id until
-- they are deleted.
local function has_leftovers(thread_id)
  return redis.call('ZSCORE', key('trash'), thread_id) ~= false
end
