--! needs: clock jobs keys
-- The queues of jobs. A due job is ranked by its due time in ms plus the priority of its run in ms.

-- Adds a token that wakes one idle worker.
local WAKE_TOKENS = 64

local function wake_worker()
  redis.call('RPUSH', key('worker_wake'), '1')
  redis.call('LTRIM', key('worker_wake'), -WAKE_TOKENS, -1)
end

-- The queue for a due job of this run. Crash suspects have a queue of their own, so that a worker which may not start
-- one does not read past them.
local function queue_key(run_id)
  return key(redis.call('HEXISTS', key('run', run_id), 'crashes') == 1 and 'suspect_queue' or 'queue')
end

local function add_to_queue(run_id, job, due_ms)
  local priority_ms = redis.call('HGET', key('run', run_id), 'priority_ms') or 0
  redis.call('ZADD', queue_key(run_id), integer_text(due_ms + priority_ms), job)
end

-- Queues the job of an attempt for `due_ms`.
local function enqueue(run_id, attempt, due_ms)
  local job = job_name(run_id, attempt)
  if due_ms <= now_ms then
    add_to_queue(run_id, job, due_ms)
  else
    redis.call('ZADD', key('later_queue'), integer_text(due_ms), job)
  end
  wake_worker()
end

-- Adds a job for the first queued run of a thread; the runs behind it get none yet. Returns whether there was one.
local function enqueue_next_run(thread_id)
  local head = redis.call('ZRANGE', key('thread_queue', thread_id), 0, 0)[1]
  if not head then return false end
  local fields = redis.call('HMGET', key('run', head), 'attempt', 'due_ms')
  enqueue(head, tonumber(fields[1]) + 1, math.max(tonumber(fields[2]), 0))
  return true
end
