--! needs: after_run ceilings clock deliveries events keys leases metrics outages queue requeue rollouts run_indexes suspects traces webhook_events
--! repeatable: no
--! shard: thread
-- Reclaims the runs whose lease has expired. With `worker`, reclaims all runs of the process whose id starts with this
-- text, although their leases have not expired: the process has exited. A run with attempts left is queued again, and
-- becomes a crash suspect until it starts its second superstep. A run without attempts left fails, or is paused.
--
-- Which attempts of a dead process count towards `max_attempts` depends on the earlier crashes of its runs. The attempt
-- of the likely cause must count, and few others:
--   no run has any                            all attempts count
--   one run has any                           only its attempt counts
--   several runs have some                    only the attempt of a run that has the most, if these are at least
--                                             `alone_from`: no other suspect has started beside it
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `worker` or nil, `event_ttl_s`, `pause_ms` (before a retry, for each
--   earlier crash), `failure` (map: `record` and `public`, the failure of a run without attempts left; %d in their
--   messages stands for the number of attempts; `term`, the index term of its code), `alone_from` (earlier crashes from
--   which no other suspect starts beside a run), `other_suspects` (of other shards, those that execute: {worker,
--   earlier crashes} of each; or nil), `grace` (map: `silence_ms`, `lease_ms`, `waits`: the process has a
--   grace period of its own; or nil).
-- Reply: {ms until the next lease ends ('' if no run has one), {{run, attempt, 'queued', 'paused' or 'failed', thread,
--   graph, trace or ''}, ...}}. With `grace`, no run in the grace period after an outage.
-- Atomic: All runs of one call.
-- Repeatable: No: after an outage, live workers must renew their leases before it is sent again.

local args = cmsgpack.unpack(ARGV[2])

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
  count_run(run_id, 'failed')
  count_reclaimed(run_id, 'failed', failure.record.code, not args.worker)
  local created_us = redis.call('HGET', key('run', run_id), 'created_us')
  index_phase(run_id, created_us, 'running', 'failed')
  index_error(run_id, created_us, failure.term)
  append_events(run_id, {
    {'error', sse_frame('error', public_error), ''},
    end_event(run_id, 'error', '{"__error__":' .. public_error .. '}'),
  })
  redis.call('EXPIRE', key('events', run_id), args.event_ttl_s)
  create_delivery(run_id, thread_id, 'error')
  emit_phase(run_id, 'failed', {status = 'error'})
  redis.call('HSET', key('thread', thread_id), 'error', public_error)
  start_next_run_or_idle(thread_id, 'error')
end

-- Pauses a run without attempts left. An operator resumes it.
local function pause_exhausted(run_id, thread_id, spent)
  local failure = cmsgpack.unpack(ARGV[2]).failure
  failure.record.attempt = spent
  local error, code = failure_json(failure.record, spent), failure.record.code
  local reason = failure.record.message
  count_run(run_id, 'failed')
  count_reclaimed(run_id, 'paused', code, not args.worker)
  requeue(run_id, thread_id, true, true, reason, 0, nil, {reason = reason, actor = 'slipway', error = error,
    details = {why = 'exhausted', code = code},
    held = cjson.encode({why = 'exhausted', reasons = {{code = code, text = reason}}})})
end

local function ms_until_next_lease_end()
  local first = redis.call('ZRANGE', key('leases'), 0, 0, 'WITHSCORES')
  return first[2] and integer_text(first[2] - now_ms) or ''
end

-- Whether the run is to be reclaimed: always without `worker`, because only expired leases are read then.
local function is_dead(run_id)
  if not args.worker then return true end
  local worker = redis.call('HGET', key('run', run_id), 'worker')
  return worker and string.sub(worker, 1, #args.worker) == args.worker
end

-- By worker: the number of its suspects, the most earlier crashes of one, and how many have that many; with those of
-- other shards.
local function suspects_by_worker()
  local by_worker = {}
  local function add(worker, crashes)
    local most = by_worker[worker] or {crashes = 0, runs = 0, all = 0}
    by_worker[worker] = most
    most.all = most.all + 1
    if crashes > most.crashes then most.crashes, most.runs = crashes, 0 end
    if crashes == most.crashes then most.runs = most.runs + 1 end
  end
  for _, suspect in ipairs(executing_suspects()) do add(suspect[1], suspect[2]) end
  for _, suspect in ipairs(args.other_suspects or {}) do add(suspect[1], suspect[2]) end
  return by_worker
end

-- Whether the attempt of a run with these earlier crashes counts, of a dead worker with these suspects.
local function counts(crashes, suspects)
  if not suspects then return true end
  local is_likely_cause = suspects.all == 1 or crashes >= args.alone_from
  return crashes == suspects.crashes and suspects.runs == 1 and is_likely_cause
end

-- Queues the run again, or fails it. The suspects of its worker decide whether its attempt counts.
local function reclaim(run_id, fields, suspects)
  local run, crashes = key('run', run_id), tonumber(fields.crashes) or 0
  local counts_attempt = counts(crashes, suspects)
  local spent = fields.attempt - (fields.uncounted_attempts or 0) - (counts_attempt and 0 or 1)
  if counts_attempt and spent >= limits_of(fields.ceilings).max_attempts then
    if fields.pauses_exhausted then
      pause_exhausted(run_id, fields.thread_id, spent)
      return redis.call('HGET', run, 'phase')
    end
    fail(run_id, fields.thread_id, spent)
    return 'failed'
  end
  count_reclaimed(run_id, 'queued', nil, not args.worker)
  redis.call('HSET', run, 'crashes', crashes + 1, 'crashed_attempt', fields.attempt, 'crashed_worker', fields.worker)
  requeue(run_id, fields.thread_id, counts_attempt, true, 'the worker of attempt ' .. fields.attempt .. ' died',
    args.pause_ms * crashes)
  return 'queued'
end

-- the first command must not need memory: a full Redis rejects a script if its first command does
redis.call('ZREM', key('leases'), '')
if args.grace and (in_grace_period(args.grace) or args.grace.waits) then return {ms_until_next_lease_end(), {}} end

-- Whether `<group> <worker>` is the process that has exited.
local function has_exited(member)
  return string.sub(string.match(member, ' (.*)$'), 1, #args.worker) == args.worker
end

-- A process that has exited serves nothing, and waits for nothing.
if args.worker then
  for _, member in ipairs(redis.call('ZRANGE', key('worker_versions'), 0, -1)) do
    if has_exited(member) then redis.call('ZREM', key('worker_versions'), member) end
  end
  for _, member in ipairs(redis.call('ZRANGE', key('waiting_workers'), 0, -1)) do
    if has_exited(member) then redis.call('ZREM', key('waiting_workers'), member) end
  end
end

local limit = args.worker and '+inf' or integer_text(now_ms)
local by_worker
local reclaimed = {}
for _, run_id in ipairs(redis.call('ZRANGEBYSCORE', key('leases'), '-inf', limit)) do
  if is_dead(run_id) then
    by_worker = by_worker or suspects_by_worker()
    local values = redis.call('HMGET', key('run', run_id), 'phase', 'thread_id', 'attempt', 'uncounted_attempts',
      'ceilings', 'worker', 'crashes', 'pauses_exhausted', 'trace', 'updated_us', 'graph_id')
    local fields = {phase = values[1], thread_id = values[2], attempt = values[3], uncounted_attempts = values[4],
      ceilings = values[5], worker = values[6], crashes = values[7], pauses_exhausted = values[8]}
    if fields.phase ~= 'running' then
      redis.call('ZREM', key('leases'), run_id)
    else
      store_killed_attempt(run_id, values[9], {attempt = tonumber(fields.attempt), worker = fields.worker,
        started_us = tonumber(values[10]), ended_us = now_us})
      reclaimed[#reclaimed + 1] = {run_id, fields.attempt, reclaim(run_id, fields, by_worker[fields.worker]),
        fields.thread_id, values[11], values[9] or ''}
    end
  end
end
-- the process may have died after it was woken for other jobs
if args.worker and redis.call('EXISTS', key('queue'), key('suspect_queue')) > 0 then wake_worker() end
return {ms_until_next_lease_end(), reclaimed}
