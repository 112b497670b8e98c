--! needs: jobs keys versions
--! repeatable: yes
--! shard: thread
-- Says for each lane whether a live worker serves its version, and wakes workers that do. If that has changed, the
-- reason of the runs that wait in the lane changes. A run that a worker has returned to the version of its thread may
-- be executed by other versions again when no live worker serves that version any more. Lanes without jobs are removed
-- from the list.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `limit` (runs of each lane whose reason changes).
-- Reply: {lane, 1 if a live worker serves it else 0, 1 if that has changed else 0} for each lane.
-- Atomic: All lanes.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local reply = {}

-- Moves a job out of the lane of one version only, if a worker has put it there, and no person.
local function free_returned(lane, job)
  local run_id = split_job(job)
  if not run_id then return end
  local run = key('run', run_id)
  if redis.call('HGET', run, 'version_fixed') ~= 'returned' then return end
  local score = redis.call('ZSCORE', key('version_queue', lane), job)
  redis.call('HDEL', run, 'version_fixed')
  leave_lane(lane, job)
  wait_in_lane(string.sub(lane, 1, -2), nil, run_id, job, score)
end

local lanes = redis.call('HGETALL', key('version_lanes'))
for i = 1, #lanes, 2 do
  local lane = lanes[i]
  if redis.call('EXISTS', key('version_queue', lane)) == 0 then
    redis.call('HDEL', key('version_lanes'), lane)
  else
    local is_served = wake_groups(lane) and 1 or 0
    local has_changed = tostring(is_served) ~= lanes[i + 1]
    if has_changed then
      redis.call('HSET', key('version_lanes'), lane, is_served)
      for _, job in ipairs(redis.call('ZRANGE', key('version_queue', lane), 0, args.limit - 1)) do
        local run_id = split_job(job)
        if run_id and redis.call('HGET', key('run', run_id), 'phase') == 'queued' then
          redis.call('HSET', key('run', run_id), 'reason', lane_reason(lane, is_served == 1))
        end
      end
    end
    if is_served == 0 and string.sub(lane, -1) == '!' then
      for _, job in ipairs(redis.call('ZRANGE', key('version_queue', lane), 0, args.limit - 1)) do
        free_returned(lane, job)
      end
    end
    reply[#reply + 1] = {lane, is_served, has_changed and 1 or 0}
  end
end
return reply
