--! needs: keys
-- Crash suspects: runs that were executing when their worker died.

-- Subtracts the crash of this attempt, because its worker is alive: its heartbeats were only late.
local function uncount_crash(run_id, attempt, incarnation)
  local run = key('run', run_id)
  local fields = redis.call('HMGET', run, 'crashed_attempt', 'created_us')
  if fields[1] ~= tostring(attempt) or fields[2] ~= incarnation then return end
  redis.call('HDEL', run, 'crashed_attempt')
  if redis.call('HINCRBY', run, 'crashes', -1) <= 0 then
    redis.call('HDEL', run, 'crashes', 'crashed_worker')
    redis.call('SREM', key('running_suspects'), run_id)
  end
end

-- The suspects of this shard that execute: {worker, earlier crashes} of each.
local function executing_suspects()
  local suspects = {}
  for _, run_id in ipairs(redis.call('SMEMBERS', key('running_suspects'))) do
    local worker, crashes = unpack(redis.call('HMGET', key('run', run_id), 'worker', 'crashes'))
    if worker then suspects[#suspects + 1] = {worker, tonumber(crashes) or 0} end
  end
  return suspects
end
