--! needs: after_run clock deliveries events keys leases outages requeue run_indexes
--! repeatable: no
--! shard: thread
-- Reclaims the runs whose lease has expired. With `worker`, reclaims all runs of the process whose id starts with this
-- text, although their leases have not expired: the process has exited. A run with attempts left is queued again, and
-- becomes a crash suspect until it starts its second superstep. A run without attempts left fails.
--
-- Which attempts of a dead process count towards `max_attempts` depends on the earlier crashes of its runs:
--   no run has any                            all attempts count
--   one run has more than every other         only its attempt counts
--   several runs have one, and no run more    no attempt counts; each of these runs is then executed without other
--                                             suspects
--   several runs have the most, two or more   the attempts of these runs count
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `worker` or nil, `event_ttl_s`, `pause_ms` (before a retry, for each
--   counted attempt), `failure` (map: `record` and `public`, the failure of a run without attempts left; %d in their
--   messages stands for the number of attempts; `term`, the index term of its code), `grace` (map: `silence_ms`, `lease_ms`; or nil).
-- Reply: {run, attempt, 'queued' or 'failed'} for each. With `grace`, nothing in the grace period after an outage.
-- Atomic: All runs of one call.
-- Repeatable: No: after an outage, live workers must renew their leases before it is sent again.

local args = cmsgpack.unpack(ARGV[2])
local reclaimed = {}

-- A failure of the arguments as JSON, with the number of attempts in its message.
local function failure_json(failure, attempts)
  failure.message = string.format(failure.message, attempts, attempts)
  return cjson.encode(failure)
end

local function fail(run_id, thread_id, spent)
  local failure = cmsgpack.unpack(ARGV[2]).failure
  failure.record.attempt = spent
  local error, public_error = failure_json(failure.record, spent), failure_json(failure.public, spent)
  release_lease(run_id)
  redis.call('HSET', key('run', run_id), 'phase', 'failed', 'reason', failure.record.code, 'error', error,
    'updated_us', integer_text(now_us), 'ended_us', integer_text(now_us))
  local created_us = redis.call('HGET', key('run', run_id), 'created_us')
  index_phase(run_id, created_us, 'running', 'failed')
  index_error(run_id, created_us, failure.term)
  append_events(run_id, {
    {'error', sse_frame('error', public_error), ''},
    end_event(run_id, 'error', '{"__error__":' .. public_error .. '}'),
  })
  redis.call('EXPIRE', key('events', run_id), args.event_ttl_s)
  create_delivery(run_id, thread_id, 'error')
  redis.call('HSET', key('thread', thread_id), 'error', public_error)
  start_next_run_or_idle(thread_id, 'error')
end

-- Whether the run is to be reclaimed: always without `worker`, because only expired leases are read then.
local function is_dead(run_id)
  if not args.worker then return true end
  local worker = redis.call('HGET', key('run', run_id), 'worker')
  return worker and string.sub(worker, 1, #args.worker) == args.worker
end

-- By worker: the most earlier crashes of a run that it executes, and the number of its runs with that many.
local function most_suspected_by_worker()
  local worst = {}
  for _, run_id in ipairs(redis.call('SMEMBERS', key('running_suspects'))) do
    local fields = redis.call('HMGET', key('run', run_id), 'worker', 'crashes')
    local crashes, most = tonumber(fields[2]) or 0, fields[1] and worst[fields[1]] or {crashes = 0, runs = 0}
    if fields[1] and crashes >= most.crashes then
      worst[fields[1]] = {crashes = crashes, runs = crashes == most.crashes and most.runs + 1 or 1}
    end
  end
  return worst
end

-- Queues the run again, or fails it. `worst` decides whether its attempt counts.
local function reclaim(run_id, fields, worst)
  local run, crashes = key('run', run_id), tonumber(fields.crashes) or 0
  local likeliest = worst[fields.worker] or {crashes = 0, runs = 1}
  local counts_attempt = crashes == likeliest.crashes and (likeliest.runs == 1 or crashes > 1)
  local spent = fields.attempt - fields.uncounted_attempts - (counts_attempt and 0 or 1)
  if counts_attempt and spent >= tonumber(fields.max_attempts) then
    fail(run_id, fields.thread_id, spent)
    return 'failed'
  end
  redis.call('HSET', run, 'crashes', crashes + 1, 'crashed_attempt', fields.attempt)
  requeue(run_id, fields.thread_id, counts_attempt, true, 'the worker of attempt ' .. fields.attempt .. ' died',
    args.pause_ms * math.max(spent - 1, 0))
  return 'queued'
end

-- the first command must not need memory: a full Redis rejects a script if its first command does
redis.call('ZREM', key('leases'), '')
if args.grace and in_grace_period(args.grace) then return reclaimed end

local limit = args.worker and '+inf' or integer_text(now_ms)
local worst
for _, run_id in ipairs(redis.call('ZRANGEBYSCORE', key('leases'), '-inf', limit)) do
  if is_dead(run_id) then
    worst = worst or most_suspected_by_worker()
    local values = redis.call('HMGET', key('run', run_id), 'phase', 'thread_id', 'attempt', 'uncounted_attempts',
      'max_attempts', 'worker', 'crashes')
    local fields = {phase = values[1], thread_id = values[2], attempt = values[3], uncounted_attempts = values[4],
      max_attempts = values[5], worker = values[6], crashes = values[7]}
    if fields.phase ~= 'running' then
      redis.call('ZREM', key('leases'), run_id)
    else
      reclaimed[#reclaimed + 1] = {run_id, fields.attempt, reclaim(run_id, fields, worst)}
    end
  end
end
return reclaimed
