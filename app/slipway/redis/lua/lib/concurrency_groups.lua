--! needs: clock jobs keys queue versions
--! rare: delete_job free_concurrency_slots requeue_parked_job
-- Concurrency groups: at most `limit` runs of a group execute at once. Jobs over the limit are parked until a slot is
-- free.
--
-- Where there are several shards of threads, each has some of the slots of a group: see `runs/group_exchange.py`. With
-- one shard, it has all of them.

-- The concurrency groups of a run that have a limit: {{name, limit}, ...}. `stored` is the field of the run; false if
-- it has none.
local function decoded_groups(stored)
  return stored and cjson.decode(stored) or {}
end

local function concurrency_groups_of(run_id)
  return decoded_groups(redis.call('HGET', key('run', run_id), 'groups'))
end

local SLOT_KEPT_MS = 2000 -- for so long a shard keeps a free slot for a job that is about to be claimed

-- How many runs of a concurrency group with this limit may execute at once in this shard.
local function group_slots(group, limit)
  if is_only_shard() then return limit end
  return math.min(tonumber(redis.call('HGET', key('group_slots', group), 'slots') or 0), limit)
end

local function has_free_slot(group, limit)
  return redis.call('SCARD', key('group_runs', group)) < group_slots(group, limit)
end

-- The first of these concurrency groups that has no free slot, or nil.
local function concurrency_group_at_limit(groups)
  for _, pair in ipairs(groups) do
    if not has_free_slot(pair[1], pair[2]) then return pair[1] end
  end
end

-- A worker is to exchange slots of a concurrency group with other shards.
local function ask_for_group_exchange(group)
  if not is_only_shard() then redis.call('ZADD', key('group_exchanges'), integer_text(now_ms), group) end
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

-- Gives a slot to another shard, if this one owes it one. Returns whether it did.
local function give_slot_away(group)
  if is_only_shard() then return false end
  redis.call('HDEL', key('group_slots', group), 'kept_until_ms') -- the job that was queued for it has had it
  local slots, owed = unpack(redis.call('HMGET', key('group_slots', group), 'slots', 'owed'))
  if (tonumber(owed) or 0) <= 0 or (tonumber(slots) or 0) <= 0 then return false end
  redis.call('HSET', key('group_slots', group), 'slots', slots - 1, 'owed', owed - 1)
  ask_for_group_exchange(group)
  wake_worker()
  return true
end

-- A job is parked because the group `full` has no slot. Meanwhile this shard keeps its slots of the groups before it,
-- and gives away those of the groups after it: all jobs take slots in the same order, so one of them has all.
local function keep_slots_before(full, groups)
  if is_only_shard() then return end
  local is_before = true
  for _, pair in ipairs(groups) do
    if pair[1] == full then
      is_before = false
    elseif is_before then
      redis.call('HSET', key('group_slots', pair[1]), 'kept_until_ms', integer_text(now_ms + SLOT_KEPT_MS))
    elseif has_free_slot(pair[1], pair[2]) then
      give_slot_away(pair[1])
    end
  end
end

local function free_concurrency_slot(group, run_id)
  if redis.call('SREM', key('group_runs', group), run_id) == 0 then return end
  if not give_slot_away(group) then requeue_parked_job(group) end
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
