--! needs: jobs keys versions
--! repeatable: yes
--! shard: thread
-- Says for each lane whether a live worker serves its version, and wakes workers that do. If that has changed, the
-- reason of the runs that wait in the lane changes. Lanes without jobs are removed from the list.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `limit` (runs of each lane whose reason changes).
-- Reply: {lane, 1 if a live worker serves it else 0, 1 if that has changed else 0} for each lane.
-- Atomic: All lanes.
-- Repeatable: Yes.

local args = cmsgpack.unpack(ARGV[2])
local reply = {}
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
    reply[#reply + 1] = {lane, is_served, has_changed and 1 or 0}
  end
end
return reply
