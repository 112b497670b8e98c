-- Give a worker up to `limit` due runs, each with a lease. Returns {ms until the next job is due or '', run fields, …}.
-- A job whose run is gone, over or not its thread's turn is dropped: whoever ended the obstacle queues it again.
local A = cmsgpack.unpack(ARGV[2])
local answer = {''}
local left = A.limit

while left > 0 do
  local due = redis.call('ZRANGEBYSCORE', key('queue'), '-inf', whole(now_ms), 'LIMIT', 0, left)
  if #due == 0 then break end
  redis.call('ZREM', key('queue'), unpack(due))
  for _, job in ipairs(due) do
    local run_id = string.match(job, '^(.*):%d+$')
    local run = key('run', run_id)
    local held = redis.call('HMGET', run, 'phase', 'thread_id', 'announce', 'resumes', 'kwargs', 'continues')
    local free = held[1] == 'queued' and not redis.call('HGET', key('thread', held[2]), 'active')
    if free then
      local continued = resolve_waiting(held[2], run_id, held[6] == '1')
      if continued then carry_chain(continued, run_id) end
      local attempt = take(run_id, held[2], A.worker, A.lease_ms)
      if held[3] == '1' then append(run_id, {metadata_entry(run_id, attempt)}) end
      answer[#answer + 1] = redis.call('HGETALL', run)
      left = left - 1
    end
  end
end

local first = redis.call('ZRANGE', key('queue'), 0, 0, 'WITHSCORES')
if #first > 0 then answer[1] = whole(math.max(first[2] - now_ms, 0)) end
if #first == 0 or tonumber(first[2]) > now_ms then redis.call('DEL', key('queue_wake')) end
return answer
