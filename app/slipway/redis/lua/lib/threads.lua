--! needs: clock keys terms
--! rare: set_status set_ttl
-- The thread record and the indexes of threads.

-- `terms` (of the metadata) and `value_terms` are packed: see `indexes/terms.py`. Each term, and each status, has a
-- sorted set of threads with the same scores as the index of all threads.

local function index_terms(thread_id, terms, score)
  for i = 1, #terms, TERM_LENGTH do
    redis.call('ZADD', key('threads_with', string.sub(terms, i, i + TERM_LENGTH - 1)), score, thread_id)
  end
end

-- Removes a thread from the sets of the terms that are not `kept`.
local function unindex_terms(thread_id, terms, kept)
  for i = 1, #terms, TERM_LENGTH do
    local term = string.sub(terms, i, i + TERM_LENGTH - 1)
    if not (kept and string.find(kept, term, 1, true)) then redis.call('ZREM', key('threads_with', term), thread_id) end
  end
end

-- Moves a thread to the current time in all indexes that are in the order of the last change. `before` is the status
-- that it had, false for none. The terms are fields of the record, or false. The caller stores `updated_us` and
-- `status`.
local function index_updated(thread_id, before, status, terms, value_terms)
  redis.call('ZADD', key('threads'), now_us, thread_id)
  if before and before ~= status then redis.call('ZREM', key('threads_with', before), thread_id) end
  redis.call('ZADD', key('threads_with', status), now_us, thread_id)
  if terms then index_terms(thread_id, terms, now_us) end
  if value_terms then index_terms(thread_id, value_terms, now_us) end
end

-- Sets the time of the last change, in the record and in all indexes, and the status unless it is nil.
local function set_updated(thread_id, status)
  local thread = key('thread', thread_id)
  local before, terms, value_terms = unpack(redis.call('HMGET', thread, 'status', 'terms', 'value_terms'))
  status = status or before
  redis.call('HSET', thread, 'updated_us', now_us, 'status', status)
  index_updated(thread_id, before, status, terms, value_terms)
end

-- Sets the status without the time of the last change.
local function set_status(thread_id, status)
  local thread = key('thread', thread_id)
  local fields = redis.call('HMGET', thread, 'status', 'updated_us')
  if fields[1] == status then return end
  redis.call('HSET', thread, 'status', status)
  if fields[1] then redis.call('ZREM', key('threads_with', fields[1]), thread_id) end
  if fields[2] then redis.call('ZADD', key('threads_with', status), fields[2], thread_id) end
end

-- Moves a thread to the current time in the order of the last change of the values. The caller stores `state_us`.
local function index_state_updated(thread_id)
  redis.call('ZADD', key('threads_state'), now_us, thread_id)
end

-- Sets the time of the last change of the values.
local function set_state_updated(thread_id)
  redis.call('HSET', key('thread', thread_id), 'state_us', now_us)
  index_state_updated(thread_id)
end

-- Adds a new thread to the orders that `index_updated` does not change. The caller stores `created_us` and `state_us`.
local function index_created(thread_id)
  redis.call('ZADD', key('threads_created'), now_us, thread_id)
  redis.call('ZADD', key('threads_ids'), 0, thread_id)
  index_state_updated(thread_id)
end

-- Adds a new thread to the orders that never change. `set_updated` must follow.
local function index_new_thread(thread_id, terms)
  redis.call('HSET', key('thread', thread_id), 'created_us', now_us, 'state_us', now_us, 'terms', terms)
  index_created(thread_id)
end

-- Replaces the terms of metadata members. `members` are their digests, concatenated. `set_updated` must follow.
local function replace_terms(thread_id, members, terms)
  if members == '' then return end
  local thread = key('thread', thread_id)
  local stored = redis.call('HGET', thread, 'terms')
  local kept = replaced_terms(stored, members, terms)
  if kept == stored then return end
  unindex_terms(thread_id, stored or '', kept)
  redis.call('HSET', thread, 'terms', kept)
end

-- Replaces the terms of the values. `set_updated` must follow.
local function replace_value_terms(thread_id, terms)
  local stored = redis.call('HGET', key('thread', thread_id), 'value_terms')
  if stored then unindex_terms(thread_id, stored, terms) end
  redis.call('HSET', key('thread', thread_id), 'value_terms', terms)
end

-- Removes a thread from all indexes.
local function unindex_thread(thread_id)
  local fields = redis.call('HMGET', key('thread', thread_id), 'status', 'terms', 'value_terms')
  if fields[1] then redis.call('ZREM', key('threads_with', fields[1]), thread_id) end
  unindex_terms(thread_id, fields[2] or '')
  unindex_terms(thread_id, fields[3] or '')
  redis.call('ZREM', key('threads'), thread_id)
  redis.call('ZREM', key('threads_created'), thread_id)
  redis.call('ZREM', key('threads_state'), thread_id)
  redis.call('ZREM', key('threads_ids'), thread_id)
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
