--! needs: jobs keys queue versions
--! rare: delete_job free_concurrency_slots requeue_parked_job
-- Concurrency groups: at most `limit` runs of a group execute at once. Jobs over the limit are parked until a slot is
-- free.

-- The concurrency groups of a run that have a limit: {{name, limit}, ...}. `stored` is the field of the run; false if
-- it has none.
local function decoded_groups(stored)
  return stored and cjson.decode(stored) or {}
end

local function concurrency_groups_of(run_id)
  return decoded_groups(redis.call('HGET', key('run', run_id), 'groups'))
end

-- The first of these concurrency groups that has no free slot, or nil.
local function concurrency_group_at_limit(groups)
  for _, pair in ipairs(groups) do
    if redis.call('SCARD', key('group_runs', pair[1])) >= pair[2] then return pair[1] end
  end
end

-- Moves the first parked job of a concurrency group back to the queue, where the next claim may give it a slot.
local function requeue_parked_job(group)
  local parked = redis.call('ZPOPMIN', key('parked_queue', group))
  if #parked > 0 then
    local fields = redis.call('HMGET', key('run', (split_job(parked[1]))), 'crashes', 'cancel_action')
    redis.call('ZADD', queue_key(fields[1], fields[2]), parked[2], parked[1])
    wake_worker()
  end
end

local function free_concurrency_slot(group, run_id)
  if redis.call('SREM', key('group_runs', group), run_id) == 1 then requeue_parked_job(group) end
end

local function free_concurrency_slots(run_id, groups)
  for _, pair in ipairs(groups) do free_concurrency_slot(pair[1], run_id) end
end

-- Removes the job of the run's next attempt from whichever queue has it. If the job was due, it may have been offered
-- free slots: the next parked jobs of its groups get them.
local function delete_job(run_id)
  local fields = redis.call('HMGET', key('run', run_id), 'attempt', 'groups', 'lane')
  if not fields[1] then return end
  local job = job_name(run_id, fields[1] + 1)
  local was_due = redis.call('ZREM', key('queue'), job) + redis.call('ZREM', key('suspect_queue'), job) > 0
  redis.call('ZREM', key('later_queue'), job)
  leave_lane(fields[3], job)
  for _, pair in ipairs(decoded_groups(fields[2])) do
    redis.call('ZREM', key('parked_queue', pair[1]), job)
    if was_due then requeue_parked_job(pair[1]) end
  end
end
