-- Take back runs whose lease has ended, or whose worker's id starts with `worker` (a process known to be dead).
-- A run with attempts left is queued again; one without fails. Returns a list of {run, attempt, 'queued' or 'failed'}.
local A = cmsgpack.unpack(ARGV[2])
local taken = {}

local function fail(run_id, thread_id, spent)
  local error = cjson.encode({error = 'CeilingHit', message = 'every attempt died: ' .. spent .. ' of ' .. spent,
    code = 'ceiling.attempts', attempt = spent, retryable = false})
  local shown = cjson.encode({error = 'CeilingHit', message = 'every attempt died: ' .. spent .. ' of ' .. spent})
  give_up_lease(run_id)
  redis.call('HSET', key('run', run_id), 'phase', 'failed', 'reason', 'ceiling.attempts', 'error', error,
    'updated_us', whole(now_us), 'ended_us', whole(now_us))
  append(run_id, {{'error', frame('error', shown), ''}, end_entry(run_id, 'error', '{"__error__":' .. shown .. '}')})
  redis.call('EXPIRE', key('events', run_id), A.event_ttl_s)
  notify(run_id, thread_id, 'error')
  redis.call('HSET', key('thread', thread_id), 'error', shown)
  rest(thread_id, 'error')
end

local function is_dead(run_id)
  if not A.worker then return true end
  local worker = redis.call('HGET', key('run', run_id), 'worker')
  return worker and string.sub(worker, 1, #A.worker) == A.worker
end

-- first what takes memory from nobody: a server that is full refuses only scripts that begin with what does
redis.call('ZREM', key('leases'), '')
if A.grace and in_grace(A.grace) then return taken end

local limit = A.worker and '+inf' or whole(now_ms)
for _, run_id in ipairs(redis.call('ZRANGEBYSCORE', key('leases'), '-inf', limit)) do
  if is_dead(run_id) then
    local held = redis.call('HMGET', key('run', run_id), 'phase', 'thread_id', 'attempt', 'handovers', 'max_attempts')
    if held[1] ~= 'running' then
      redis.call('ZREM', key('leases'), run_id)
    else
      local spent = tonumber(held[3]) - tonumber(held[4])
      local over = spent >= tonumber(held[5])
      if over then
        fail(run_id, held[2], spent)
      else
        requeue(run_id, held[2], true, 'the worker of attempt ' .. held[3] .. ' died', A.pause_ms * (spent - 1))
      end
      taken[#taken + 1] = {run_id, held[3], over and 'failed' or 'queued'}
    end
  end
end
return taken
