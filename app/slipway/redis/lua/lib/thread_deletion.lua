--! needs: clock keys runs threads
--! rare: delete_thread
-- The deletion of a thread.

-- Deletes a thread with its runs, and puts it into the trash: its checkpoints are deleted afterwards, by the duty that
-- empties the trash or before the next thread with this id is created. Its crons, if it `has_crons`, are deleted
-- afterwards by `thread_crons_delete.lua`. A temporary thread has none.
local function delete_thread(thread_id)
  for _, run_id in ipairs(redis.call('ZRANGE', key('thread_runs', thread_id), 0, -1)) do
    delete_run(run_id, thread_id)
  end
  unindex_thread(thread_id)
  redis.call('DEL', key('thread', thread_id), key('thread_runs', thread_id), key('thread_queue', thread_id),
    key('thread_states', thread_id), key('thread_calls', thread_id), key('thread_approvals', thread_id))
  redis.call('ZREM', key('threads_due'), thread_id)
  notify_thread(thread_id)
  redis.call('ZADD', key('trash'), integer_text(now_us), thread_id)
end
