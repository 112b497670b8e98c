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
