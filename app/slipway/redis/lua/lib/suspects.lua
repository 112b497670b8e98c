--! needs: keys
-- Crash suspects: runs that were executing when their worker died.

-- Counts one crash less, because the worker of this attempt turned out to be alive.
local function withdraw_suspicion(run_id, attempt, incarnation)
  local run = key('run', run_id)
  local fields = redis.call('HMGET', run, 'crashed_attempt', 'created_us')
  if fields[1] ~= tostring(attempt) or fields[2] ~= incarnation then return end
  redis.call('HDEL', run, 'crashed_attempt')
  if redis.call('HINCRBY', run, 'crashes', -1) <= 0 then
    redis.call('HDEL', run, 'crashes')
    redis.call('SREM', key('running_suspects'), run_id)
  end
end
