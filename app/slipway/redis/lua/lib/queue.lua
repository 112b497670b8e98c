--! needs: clock jobs keys
--! rare: add_to_queue
-- The queues of jobs. A due job is ranked by its due time in ms plus the priority of its run in ms.

-- Wakes the worker that has waited longest for jobs of this shard; with `group`, the one of this group. A worker waits
-- as `<group> <worker>` from a claim that has left no due job until it is woken. Returns false if none does.
local function wake_worker(group)
  local waiting
  repeat
    waiting = redis.call('ZRANGE', key('waiting_workers'), 0, group and -1 or 1)
    for i, member in ipairs(waiting) do
      local its_group, worker = string.match(member, '^(%S*) (.*)$')
      if not group or its_group == group then
        redis.call('ZREM', key('waiting_workers'), member)
        -- a full worker passes the wake on, if others wait; a worker without a connection receives nothing
        local receivers = redis.call('PUBLISH', key('control', worker), waiting[i + 1] and 'wake' or 'wake last')
        if receivers > 0 then return true end
      end
    end
  until group or not waiting[2]
  return false
end

-- The queue for a due job. Crash suspects have a queue of their own, so that a worker which may not start one does not
-- read past them. A cancelled run is no suspect, because its next attempt executes no node. `crashes` and
-- `cancel_action` are fields of the run, or false.
local function queue_key(crashes, cancel_action)
  if crashes and not cancel_action then return key('suspect_queue') end
  return key('queue')
end

-- Adds a due job.
local function add_to_queue(run_id, job, due_ms)
  local fields = redis.call('HMGET', key('run', run_id), 'crashes', 'cancel_action', 'priority_ms')
  redis.call('ZADD', queue_key(fields[1], fields[2]), due_ms + (fields[3] or 0), job)
end

-- Queues the job of an attempt for `due_ms`. `queue` is the queue for a due job of this run, and `priority_ms` the
-- field of the run; false or nil if it has none.
local function enqueue(run_id, attempt, due_ms, queue, priority_ms)
  local job = job_name(run_id, attempt)
  if due_ms <= now_ms then
    redis.call('ZADD', queue, due_ms + (priority_ms or 0), job)
  else
    redis.call('ZADD', key('later_queue'), due_ms, job)
  end
  wake_worker()
end

-- Adds a job for the first run in the queue of a thread, unless it is paused; the runs behind it get none yet. Returns
-- whether there was one. A run is due when it was created (after its delay), unless it was queued again.
local function enqueue_next_run(thread_id)
  local head = redis.call('ZRANGE', key('thread_queue', thread_id), 0, 0)[1]
  if not head then return false end
  local fields = redis.call('HMGET', key('run', head), 'attempt', 'created_us', 'due_ms', 'crashes', 'cancel_action',
    'priority_ms', 'phase')
  if fields[7] == 'paused' then return true end
  local due_ms = tonumber(fields[3]) or math.floor(fields[2] / 1000)
  enqueue(head, fields[1] + 1, math.max(due_ms, 0), queue_key(fields[4], fields[5]), fields[6])
  return true
end
