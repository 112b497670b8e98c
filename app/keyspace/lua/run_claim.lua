-- Give a worker up to `limit` due runs, each with a lease. Returns {ms until the next job is due or '', run fields, …}.
-- A job whose run is gone, over or not its thread's turn is dropped: whoever ended the obstacle queues it again.
-- A job of a group that is at its limit is parked: whoever leaves the group takes it back.
local A = cmsgpack.unpack(ARGV[2])
local answer = {''}
local left = A.limit
local BATCH = 200

local due = redis.call('ZRANGEBYSCORE', key('later'), '-inf', whole(now_ms), 'WITHSCORES', 'LIMIT', 0, BATCH)
for i = 1, #due, 2 do
  redis.call('ZREM', key('later'), due[i])
  rank(string.match(due[i], '^(.*):%d+$'), due[i], tonumber(due[i + 1]))
end

local function claim(job, score)
  local run_id = string.match(job, '^(.*):%d+$')
  local run = key('run', run_id)
  local held = redis.call('HMGET', run, 'phase', 'thread_id', 'announce', 'continues')
  if held[1] ~= 'queued' or redis.call('HGET', key('thread', held[2]), 'active')
      or redis.call('ZRANGE', key('thread_queue', held[2]), 0, 0)[1] ~= run_id then
    for _, pair in ipairs(groups_of(run_id)) do unpark(pair[1]) end
    return false
  end
  local full = full_group(run_id)
  if full then
    redis.call('ZADD', key('parked', full), score, job)
    redis.call('HSET', run, 'reason', 'limit of ' .. full)
    return false
  end
  local continued = resolve_waiting(held[2], run_id, held[4] == '1')
  if continued then carry_chain(continued, run_id) end
  local attempt = take(run_id, held[2], A.worker, A.lease_ms)
  if held[3] == '1' then append(run_id, {metadata_entry(run_id, attempt)}) end
  answer[#answer + 1] = redis.call('HGETALL', run)
  return true
end

local seen = 0
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
  if #first > 0 then answer[1] = whole(math.max(first[2] - now_ms, 0)) end
end
return answer
