--! needs: clock deliveries events idle keys leases outages requeue
--! repeatable: no
--! shard: thread
-- Take back runs whose lease has ended, or whose worker's id starts with `worker` (a process known to be dead).
-- A run with attempts left is queued again; one without fails. Returns a list of {run, attempt, 'queued' or 'failed'}.
--
-- Each run is from now on suspected of having killed its worker, until it gets further than where it died. Of the runs
-- that died together the likely cause is the one that was suspected most before, and only its attempt is spent. When
-- several died with a worker once before, it may have been any of them: nobody's is spent, and each is tried alone.
local args = cmsgpack.unpack(ARGV[2])
local taken = {}

local function fail(run_id, thread_id, spent)
  local error = cjson.encode({error = 'CeilingHit', message = 'every attempt died: ' .. spent .. ' of ' .. spent,
    code = 'ceiling.attempts', attempt = spent, retryable = false})
  local shown = cjson.encode({error = 'CeilingHit', message = 'every attempt died: ' .. spent .. ' of ' .. spent})
  release_lease(run_id)
  redis.call('HSET', key('run', run_id), 'phase', 'failed', 'reason', 'ceiling.attempts', 'error', error,
    'updated_us', integer_text(now_us), 'ended_us', integer_text(now_us))
  append_events(run_id, {{'error', sse_frame('error', shown), ''}, end_event(run_id, 'error', '{"__error__":' .. shown .. '}')})
  redis.call('EXPIRE', key('events', run_id), args.event_ttl_s)
  create_delivery(run_id, thread_id, 'error')
  redis.call('HSET', key('thread', thread_id), 'error', shown)
  start_next_run_or_idle(thread_id, 'error')
end

local function is_dead(run_id)
  if not args.worker then return true end
  local worker = redis.call('HGET', key('run', run_id), 'worker')
  return worker and string.sub(worker, 1, #args.worker) == args.worker
end

-- By worker: how often at most a worker has died before with a run that this one holds, and how many such runs it has.
local function most_suspected_by_worker()
  local worst = {}
  for _, run_id in ipairs(redis.call('SMEMBERS', key('running_suspects'))) do
    local held = redis.call('HMGET', key('run', run_id), 'worker', 'crashes')
    local deaths, known = tonumber(held[2]) or 0, held[1] and worst[held[1]] or {deaths = 0, runs = 0}
    if held[1] and deaths >= known.deaths then
      worst[held[1]] = {deaths = deaths, runs = deaths == known.deaths and known.runs + 1 or 1}
    end
  end
  return worst
end

-- A run whose worker died, and how often one did before. It is charged with the attempt unless another is likelier.
local function reclaim(run_id, held, worst)
  local run, deaths = key('run', run_id), tonumber(held.suspect) or 0
  local likeliest = worst[held.worker] or {deaths = 0, runs = 1}
  local counts_attempt = deaths == likeliest.deaths and (likeliest.runs == 1 or deaths > 1)
  local spent = held.attempt - held.handovers - (counts_attempt and 0 or 1)
  if counts_attempt and spent >= tonumber(held.max_attempts) then
    fail(run_id, held.thread_id, spent)
    return 'failed'
  end
  redis.call('HSET', run, 'crashes', deaths + 1, 'crashed_attempt', held.attempt)
  requeue(run_id, held.thread_id, counts_attempt, 'the worker of attempt ' .. held.attempt .. ' died',
    args.pause_ms * math.max(spent - 1, 0))
  redis.call('HSET', run, 'announce_attempt', 1)
  return 'queued'
end

-- first what takes memory from nobody: a server that is full refuses only scripts that begin with what does
redis.call('ZREM', key('leases'), '')
if args.grace and in_grace_period(args.grace) then return taken end

local limit = args.worker and '+inf' or integer_text(now_ms)
local worst
for _, run_id in ipairs(redis.call('ZRANGEBYSCORE', key('leases'), '-inf', limit)) do
  if is_dead(run_id) then
    worst = worst or most_suspected_by_worker()
    local values = redis.call('HMGET', key('run', run_id), 'phase', 'thread_id', 'attempt', 'uncounted_attempts',
      'max_attempts', 'worker', 'crashes')
    local held = {phase = values[1], thread_id = values[2], attempt = values[3], handovers = values[4],
      max_attempts = values[5], worker = values[6], suspect = values[7]}
    if held.phase ~= 'running' then
      redis.call('ZREM', key('leases'), run_id)
    else
      taken[#taken + 1] = {run_id, held.attempt, reclaim(run_id, held, worst)}
    end
  end
end
return taken
