-- Take back runs whose lease has ended, or whose worker's id starts with `worker` (a process known to be dead).
-- A run with attempts left is queued again; one without fails. Returns a list of {run, attempt, 'queued' or 'failed'}.
--
-- Each run is from now on suspected of having killed its worker, until it gets further than where it died. Of the runs
-- that died together the likely cause is the one that was suspected most before, and only its attempt is spent. When
-- several died with a worker once before, it may have been any of them: nobody's is spent, and each is tried alone.
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

-- By worker: how often at most a worker has died before with a run that this one holds, and how many such runs it has.
local function worst_by_worker()
  local worst = {}
  for _, run_id in ipairs(redis.call('SMEMBERS', key('on_trial'))) do
    local held = redis.call('HMGET', key('run', run_id), 'worker', 'suspect')
    local deaths, known = tonumber(held[2]) or 0, held[1] and worst[held[1]] or {deaths = 0, runs = 0}
    if held[1] and deaths >= known.deaths then
      worst[held[1]] = {deaths = deaths, runs = deaths == known.deaths and known.runs + 1 or 1}
    end
  end
  return worst
end

-- A run whose worker died, and how often one did before. It is charged with the attempt unless another is likelier.
local function take_back(run_id, held, worst)
  local run, deaths = key('run', run_id), tonumber(held.suspect) or 0
  local likeliest = worst[held.worker] or {deaths = 0, runs = 1}
  local charged = deaths == likeliest.deaths and (likeliest.runs == 1 or deaths > 1)
  local spent = held.attempt - held.handovers - (charged and 0 or 1)
  if charged and spent >= tonumber(held.max_attempts) then
    fail(run_id, held.thread_id, spent)
    return 'failed'
  end
  redis.call('HSET', run, 'suspect', deaths + 1, 'died', held.attempt)
  requeue(run_id, held.thread_id, charged, 'the worker of attempt ' .. held.attempt .. ' died',
    A.pause_ms * math.max(spent - 1, 0))
  redis.call('HSET', run, 'announce', 1)
  return 'queued'
end

-- first what takes memory from nobody: a server that is full refuses only scripts that begin with what does
redis.call('ZREM', key('leases'), '')
if A.grace and in_grace(A.grace) then return taken end

local limit = A.worker and '+inf' or whole(now_ms)
local worst
for _, run_id in ipairs(redis.call('ZRANGEBYSCORE', key('leases'), '-inf', limit)) do
  if is_dead(run_id) then
    worst = worst or worst_by_worker()
    local values = redis.call('HMGET', key('run', run_id), 'phase', 'thread_id', 'attempt', 'handovers', 'max_attempts',
      'worker', 'suspect')
    local held = {phase = values[1], thread_id = values[2], attempt = values[3], handovers = values[4],
      max_attempts = values[5], worker = values[6], suspect = values[7]}
    if held.phase ~= 'running' then
      redis.call('ZREM', key('leases'), run_id)
    else
      taken[#taken + 1] = {run_id, held.attempt, take_back(run_id, held, worst)}
    end
  end
end
return taken
