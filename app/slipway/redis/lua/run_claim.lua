--! needs: clock events groups jobs keys leases queue runs waiting_runs
--! repeatable: no
--! shard: thread
-- Give a worker up to `limit` due runs, each with a lease. Returns {ms until the next job is due or '', run fields, …}.
-- A job whose run is gone, over or not its thread's turn is dropped: whoever ended the obstacle queues it again.
-- A job of a group that is at its limit is parked: whoever leaves the group takes it back.
-- Of the runs with which a worker died, `suspects` says how many at most it may have; one with which several died in a
-- row comes alone, so the next is left for another time. If some must wait, it is asked to come again in `again_ms`.
local args = cmsgpack.unpack(ARGV[2])
local answer = {''}
local left = args.limit
local BATCH = 200

local due = redis.call('ZRANGEBYSCORE', key('later_queue'), '-inf', integer_text(now_ms), 'WITHSCORES', 'LIMIT', 0, BATCH)
for i = 1, #due, 2 do
  redis.call('ZREM', key('later_queue'), due[i])
  add_to_queue((split_job(due[i])), due[i], tonumber(due[i + 1]))
end

-- A job that does not begin leaves the places that it was offered to the next jobs that wait for them.
local function offer_group_slots(run_id)
  for _, pair in ipairs(groups_of(run_id)) do
    if redis.call('SCARD', key('group_runs', pair[1])) < pair[2] then requeue_parked_job(pair[1]) end
  end
end

local function claim(job, score)
  local run_id = split_job(job)
  local run = key('run', run_id)
  local held = redis.call('HMGET', run, 'phase', 'thread_id', 'announce_attempt', 'continues')
  if held[1] ~= 'queued' or redis.call('HGET', key('thread', held[2]), 'active_run_id')
      or redis.call('ZRANGE', key('thread_queue', held[2]), 0, 0)[1] ~= run_id then
    offer_group_slots(run_id)
    return false
  end
  local full = group_at_limit(run_id)
  if full then
    redis.call('ZADD', key('parked_queue', full), score, job)
    redis.call('HSET', run, 'reason', 'limit of ' .. full)
    offer_group_slots(run_id)
    return false
  end
  local continued = complete_waiting_run(held[2], run_id, held[4] == '1')
  if continued then inherit_chain(continued, run_id) end
  local attempt = acquire_lease(run_id, held[2], args.worker, args.lease_ms)
  if held[3] == '1' then append_events(run_id, {metadata_event(run_id, attempt)}) end
  answer[#answer + 1] = redis.call('HGETALL', run)
  return true
end

-- The first suspect, if it is its turn among all that is due, and how often a worker died with it.
local function next_suspect()
  local first = redis.call('ZRANGE', key('suspect_queue'), 0, 0, 'WITHSCORES')
  if #first == 0 or redis.call('ZCOUNT', key('queue'), '-inf', '(' .. first[2]) >= left then return nil end
  local run_id = split_job(first[1])
  return first[1], first[2], tonumber(redis.call('HGET', key('run', run_id), 'crashes') or 0)
end

local seen, suspects = 0, args.suspects
while left > 0 and suspects > 0 and seen < BATCH do
  local job, score, deaths = next_suspect()
  if not job or (deaths > 1 and suspects < args.suspects) then break end
  seen = seen + 1
  redis.call('ZREM', key('suspect_queue'), job)
  if claim(job, score) then
    left = left - 1
    suspects = deaths > 1 and 0 or suspects - 1
  end
end
while left > 0 and seen < BATCH do
  local jobs = redis.call('ZPOPMIN', key('queue'), left)
  if #jobs == 0 then break end
  for i = 1, #jobs, 2 do
    seen = seen + 1
    if claim(jobs[i], jobs[i + 1]) then left = left - 1 end
  end
end

if redis.call('ZCARD', key('queue')) > 0 then
  answer[1] = '0'
else
  redis.call('DEL', key('worker_wake'))
  local first = redis.call('ZRANGE', key('later_queue'), 0, 0, 'WITHSCORES')
  local wait_ms = #first > 0 and math.max(first[2] - now_ms, 0) or nil
  if redis.call('EXISTS', key('suspect_queue')) == 1 then wait_ms = math.min(wait_ms or args.again_ms, args.again_ms) end
  if wait_ms then answer[1] = integer_text(wait_ms) end
end
return answer
