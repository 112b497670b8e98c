--! needs: clock keys queue run_indexes thread_deletion threads traces
-- What happens to a thread when one of its runs ended.

-- Runs that must stay readable (`retain_s`) are separated from their temporary thread before it is deleted; they expire
-- later. No index names them any more, and their spans are deleted.
local function detach_retained_runs(thread_id)
  for _, run_id in ipairs(redis.call('ZRANGE', key('thread_runs', thread_id), 0, -1)) do
    local run = key('run', run_id)
    local retain_s = redis.call('HGET', run, 'retain_s')
    if retain_s then
      redis.call('EXPIRE', run, retain_s)
      local _, _, trace_bytes = unindex_run(run_id)
      if trace_bytes then delete_spans(run_id) end
      redis.call('ZREM', key('thread_runs', thread_id), run_id)
    end
  end
end

-- Starts the thread's next run, or makes the thread idle with `status` (nil: the status that it had before). A
-- temporary thread is deleted instead of becoming idle. `changes` are further fields that the run changes in the
-- record, a list of names and values, and `value_terms` are those of new values; nil for none.
local function start_next_run_or_idle(thread_id, status, changes, value_terms)
  local thread = key('thread', thread_id)
  local created_us, temporary, idle_status, before, terms, stored_value_terms = unpack(redis.call('HMGET', thread,
    'created_us', 'temporary', 'idle_status', 'status', 'terms', 'value_terms'))
  if not created_us then return end
  status = status or idle_status or 'idle'
  redis.call('HDEL', thread, 'active_run_id')
  local continues = enqueue_next_run(thread_id)
  if temporary and not continues then
    detach_retained_runs(thread_id)
    return delete_thread(thread_id)
  end
  if value_terms and stored_value_terms then unindex_terms(thread_id, stored_value_terms, value_terms) end
  local after = continues and before or status
  redis.call('HSET', thread, 'idle_status', status, 'status', after, 'updated_us', now_us, unpack(changes or {}))
  index_updated(thread_id, before, after, terms, value_terms or stored_value_terms)
end
