-- Give a worker up to `limit` due runs, each with a lease. Returns {ms until the next job is due or '', run fields, …}.
-- A job whose run is gone, over or not its thread's turn is dropped: whoever ended the obstacle queues it again.
-- A job of a group that is at its limit is parked: whoever leaves the group takes it back.
-- Of the runs with which a worker died, `suspects` says how many at most it may have; one with which several died in a
-- row comes alone, so the next is left for another time. If some must wait, it is asked to come again in `again_ms`.
local A = cmsgpack.unpack(ARGV[2])
local answer = {''}
local left = A.limit
local BATCH = 200

local due = redis.call('ZRANGEBYSCORE', key('later'), '-inf', whole(now_ms), 'WITHSCORES', 'LIMIT', 0, BATCH)
for i = 1, #due, 2 do
  redis.call('ZREM', key('later'), due[i])
  rank(string.match(due[i], '^(.*):%d+$'), due[i], tonumber(due[i + 1]))
end

-- A job that does not begin leaves the places that it was offered to the next jobs that wait for them.
local function pass_on_places(run_id)
  for _, pair in ipairs(groups_of(run_id)) do
    if redis.call('SCARD', key('group', pair[1])) < pair[2] then unpark(pair[1]) end
  end
end

local function claim(job, score)
  local run_id = string.match(job, '^(.*):%d+$')
  local run = key('run', run_id)
  local held = redis.call('HMGET', run, 'phase', 'thread_id', 'announce', 'continues')
  if held[1] ~= 'queued' or redis.call('HGET', key('thread', held[2]), 'active')
      or redis.call('ZRANGE', key('thread_queue', held[2]), 0, 0)[1] ~= run_id then
    pass_on_places(run_id)
    return false
  end
  local full = full_group(run_id)
  if full then
    redis.call('ZADD', key('parked', full), score, job)
    redis.call('HSET', run, 'reason', 'limit of ' .. full)
    pass_on_places(run_id)
    return false
  end
  local continued = resolve_waiting(held[2], run_id, held[4] == '1')
  if continued then carry_chain(continued, run_id) end
  local attempt = take(run_id, held[2], A.worker, A.lease_ms)
  if held[3] == '1' then append(run_id, {metadata_entry(run_id, attempt)}) end
  answer[#answer + 1] = redis.call('HGETALL', run)
  return true
end

-- The first suspect, if it is its turn among all that is due, and how often a worker died with it.
local function next_suspect()
  local first = redis.call('ZRANGE', key('suspects'), 0, 0, 'WITHSCORES')
  if #first == 0 or redis.call('ZCOUNT', key('queue'), '-inf', '(' .. first[2]) >= left then return nil end
  local run_id = string.match(first[1], '^(.*):%d+$')
  return first[1], first[2], tonumber(redis.call('HGET', key('run', run_id), 'suspect') or 0)
end

local seen, suspects = 0, A.suspects
while left > 0 and suspects > 0 and seen < BATCH do
  local job, score, deaths = next_suspect()
  if not job or (deaths > 1 and suspects < A.suspects) then break end
  seen = seen + 1
  redis.call('ZREM', key('suspects'), job)
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
  redis.call('DEL', key('queue_wake'))
  local first = redis.call('ZRANGE', key('later'), 0, 0, 'WITHSCORES')
  local wait_ms = #first > 0 and math.max(first[2] - now_ms, 0) or nil
  if redis.call('EXISTS', key('suspects')) == 1 then wait_ms = math.min(wait_ms or A.again_ms, A.again_ms) end
  if wait_ms then answer[1] = whole(wait_ms) end
end
return answer
