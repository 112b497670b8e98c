-- What every state script shares. ARGV[1] is the key prefix, ARGV[2] the arguments as one msgpack map.
-- Time is the server's own: it decides about leases, due times and the order of runs.

local PREFIX = ARGV[1]

local function key(kind, id)
  return PREFIX .. (id and string.format(TEMPLATES[kind], id) or TEMPLATES[kind])
end

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now_ms = math.floor(now_us / 1000)

local function whole(number) return string.format('%.0f', number) end

local function frame(name, data)
  return 'event: ' .. name .. '\r\ndata: ' .. data .. '\r\n'
end

-- The log of a run. Each entry is {name, frame, result}; the result is '' but for some ends. A name may have a mark
-- behind a line feed, which is stored apart: later attempts find out by it what they need not append again. The wake-up
-- carries the entries with their ids, and the id they follow, so that a reader who stands exactly there needs no read.
local function append(run_id, entries)
  if #entries == 0 then return end
  local run, stream = key('run', run_id), key('events', run_id)
  local before = redis.call('HGET', run, 'last_event') or '0-0'
  local last
  for _, entry in ipairs(entries) do
    local cut = string.find(entry[1], '\n', 1, true)
    if cut then
      local mark = string.sub(entry[1], cut + 1)
      entry[1] = string.sub(entry[1], 1, cut - 1)
      last = redis.call('XADD', stream, '*', 'n', entry[1], 'f', entry[2], 'm', mark)
    elseif entry[3] ~= '' then
      last = redis.call('XADD', stream, '*', 'n', entry[1], 'f', entry[2], 'r', entry[3])
    else
      last = redis.call('XADD', stream, '*', 'n', entry[1], 'f', entry[2])
    end
    entry[4] = last
  end
  redis.call('HSET', run, 'last_event', last)
  redis.call('PUBLISH', key('run_wake', run_id), cmsgpack.pack({before, entries}))
end

local function metadata_entry(run_id, attempt)
  return {'metadata', frame('metadata', '{"run_id":"' .. run_id .. '","attempt":' .. attempt .. '}'), ''}
end

-- `phase` is told of a run that waits for a person: for the protocol it has succeeded.
local function end_entry(run_id, status, result, phase)
  local waits = phase == 'waiting_for_approval' and ',"phase":"' .. phase .. '"' or ''
  return {'end', frame('end', '{"run_id":"' .. run_id .. '","status":"' .. status .. '"' .. waits .. '}'), result or ''}
end

local function touch(thread_id)
  redis.call('HSET', key('thread', thread_id), 'updated_us', whole(now_us))
  redis.call('ZADD', key('threads'), whole(now_us), thread_id)
end

-- How long a thread lives from now on: {minutes, strategy, ms}; nil changes nothing.
local function set_ttl(thread_id, ttl)
  if not ttl then return end
  local due_ms = now_ms + ttl.ms
  redis.call('HSET', key('thread', thread_id), 'ttl', ttl.minutes, 'ttl_strategy', ttl.strategy,
    'expires_us', whole(due_ms * 1000))
  redis.call('ZADD', key('threads_due'), whole(due_ms), thread_id)
end

-- Keep the metadata of an assistant or a cron once more as one field for each member: a filter reads only those that it
-- looks at. `members_at` says for which change of the record they were written.
local function set_members(record, metadata)
  for _, field in ipairs(redis.call('HKEYS', record)) do
    if string.sub(field, 1, 2) == 'm:' then redis.call('HDEL', record, field) end
  end
  for name, value in pairs(metadata) do redis.call('HSET', record, 'm:' .. name, value) end
  redis.call('HSET', record, 'members_at', redis.call('HGET', record, 'updated_us'))
end

-- Whoever follows the thread looks again; `what` is 'metadata' when its metadata changed, by which filters judge it.
local function wake_thread(thread_id, what)
  redis.call('PUBLISH', key('thread_wake', thread_id), what or '')
end

-- The groups of a run that have a limit of running runs: {{group, limit}, ...}.
local function groups_of(run_id)
  local stored = redis.call('HGET', key('run', run_id), 'groups')
  return stored and cjson.decode(stored) or {}
end

local function wake()
  redis.call('RPUSH', key('queue_wake'), '1')
  redis.call('LTRIM', key('queue_wake'), -WAKE_TOKENS, -1)
end

-- Where a run's due job waits: a run with which a worker died waits apart, so that who may take none of these need not
-- look past them.
local function queue_of(run_id)
  return key(redis.call('HEXISTS', key('run', run_id), 'suspect') == 1 and 'suspects' or 'queue')
end

-- A due job is ranked by its due time and its priority, which is so many ms: a low one waits that much longer and
-- never for ever.
local function rank(run_id, job, due_ms)
  local sooner_ms = redis.call('HGET', key('run', run_id), 'priority_ms') or 0
  redis.call('ZADD', queue_of(run_id), whole(due_ms + sooner_ms), job)
end

local function enqueue(run_id, attempt, due_ms)
  local job = run_id .. ':' .. attempt
  if due_ms <= now_ms then
    rank(run_id, job, due_ms)
  else
    redis.call('ZADD', key('later'), whole(due_ms), job)
  end
  wake()
end

-- A place in a group may be free: the first job that waits for one tries again.
local function unpark(group)
  local parked = redis.call('ZPOPMIN', key('parked', group))
  if #parked > 0 then
    redis.call('ZADD', queue_of(string.match(parked[1], '^(.*):%d+$')), parked[2], parked[1])
    wake()
  end
end

local function drop_job(run_id)
  local attempt = redis.call('HGET', key('run', run_id), 'attempt')
  if not attempt then return end
  local job = run_id .. ':' .. (attempt + 1)
  local queued = redis.call('ZREM', key('queue'), job) + redis.call('ZREM', key('suspects'), job) > 0
  redis.call('ZREM', key('later'), job)
  for _, pair in ipairs(groups_of(run_id)) do
    redis.call('ZREM', key('parked', pair[1]), job)
    if queued then unpark(pair[1]) end
  end
end

-- The first of a run's groups that has no room, if one has none.
local function full_group(run_id)
  for _, pair in ipairs(groups_of(run_id)) do
    if redis.call('SCARD', key('group', pair[1])) >= pair[2] then return pair[1] end
  end
end

-- A place of a group becomes free: the first job that was parked for want of one goes back to the queue.
local function leave_group(group, run_id)
  if redis.call('SREM', key('group', group), run_id) == 1 then unpark(group) end
end

local function leave_groups(run_id)
  for _, pair in ipairs(groups_of(run_id)) do leave_group(pair[1], run_id) end
end

-- The first waiting run of a thread gets a job; the others wait for it.
local function promote(thread_id)
  local head = redis.call('ZRANGE', key('thread_queue', thread_id), 0, 0)[1]
  if not head then return false end
  local held = redis.call('HMGET', key('run', head), 'attempt', 'due_ms')
  enqueue(head, tonumber(held[1]) + 1, math.max(tonumber(held[2]), 0))
  return true
end

local function drop_run(run_id, thread_id)
  redis.call('DEL', key('run', run_id))
  redis.call('ZREM', key('thread_runs', thread_id), run_id)
  redis.call('PEXPIRE', key('events', run_id), 60000)
end

-- A cron goes; runs that it made stay. Returns 1, or 0 when there is none.
local function drop_cron(cron_id)
  local thread_id = redis.call('HGET', key('cron', cron_id), 'thread_id')
  if thread_id then redis.call('SREM', key('thread_crons', thread_id), cron_id) end
  redis.call('ZREM', key('crons'), cron_id)
  redis.call('ZREM', key('crons_due'), cron_id)
  return redis.call('DEL', key('cron', cron_id))
end

-- Whether checkpoints of a removed thread may still be there under this id: no other thread is made under it before
-- whoever wants to make one has removed them.
local function has_leftovers(thread_id)
  return redis.call('ZSCORE', key('trash'), thread_id) ~= false
end

-- A thread goes with its runs and crons. Its checkpoints are removed by whoever empties the trash, or makes the next
-- thread of this id.
local function drop_thread(thread_id)
  for _, run_id in ipairs(redis.call('ZRANGE', key('thread_runs', thread_id), 0, -1)) do
    drop_run(run_id, thread_id)
  end
  for _, cron_id in ipairs(redis.call('SMEMBERS', key('thread_crons', thread_id))) do drop_cron(cron_id) end
  redis.call('DEL', key('thread', thread_id), key('thread_runs', thread_id), key('thread_queue', thread_id),
    key('thread_states', thread_id))
  redis.call('ZREM', key('threads'), thread_id)
  redis.call('ZREM', key('threads_due'), thread_id)
  wake_thread(thread_id)
  redis.call('ZADD', key('trash'), whole(now_us), thread_id)
end

-- The run that waits for a person is over: nothing is asked any more.
local function abandon(run_id, why)
  redis.call('HSET', key('run', run_id), 'phase', 'completed', 'updated_us', whole(now_us),
    'reason', 'abandoned: ' .. why)
end

-- Before a thread goes that was made for a single run: one that may be asked for again outlives it, with its log.
local function spare_kept_runs(thread_id)
  for _, run_id in ipairs(redis.call('ZRANGE', key('thread_runs', thread_id), 0, -1)) do
    local run = key('run', run_id)
    local held = redis.call('HMGET', run, 'kept_s', 'phase')
    if held[1] then
      if held[2] == 'waiting_for_approval' then abandon(run_id, 'its thread went with it') end
      redis.call('EXPIRE', run, held[1])
      redis.call('ZREM', key('thread_runs', thread_id), run_id)
    end
  end
end

-- After a run left a thread: the next one gets its job, or the thread rests with `status`. One that was made for a
-- single run goes.
local function rest(thread_id, status)
  local thread = key('thread', thread_id)
  if redis.call('EXISTS', thread) == 0 then return end
  redis.call('HDEL', thread, 'active')
  if status then redis.call('HSET', thread, 'rest_status', status) end
  if promote(thread_id) then
    touch(thread_id)
  elseif redis.call('HGET', thread, 'temporary') == '1' then
    spare_kept_runs(thread_id)
    drop_thread(thread_id)
  else
    redis.call('HSET', thread, 'status', redis.call('HGET', thread, 'rest_status') or 'idle')
    touch(thread_id)
  end
end

-- Whether a cron, which was read, still has this due time; one that was removed and made again under its id has none of it.
local function is_due(step)
  local held = redis.call('HMGET', key('cron', step.cron_id), 'next_ms', 'created_us')
  return held[1] == whole(step.due_ms) and held[2] == step.incarnation
end

-- A cron goes on to its next due time, or rests when it has none.
local function move_cron(cron_id, next_ms, run_id)
  local cron = key('cron', cron_id)
  if next_ms then
    redis.call('HSET', cron, 'next_ms', whole(next_ms))
    redis.call('ZADD', key('crons_due'), whole(next_ms), cron_id)
  else
    redis.call('HDEL', cron, 'next_ms')
    redis.call('ZREM', key('crons_due'), cron_id)
  end
  if run_id then
    redis.call('HSET', cron, 'last_run_id', run_id)
    redis.call('HDEL', cron, 'problem')
  end
end

-- Where a run's webhook waits to be called: the name of a key.
local function delivery_queue(run)
  return redis.call('HGET', run, 'webhook_queue') or 'deliveries'
end

-- Under which name a run's webhook waits: its id, unless that of a removed run that had the same id still waits.
local function delivery_name(run_id, created_us)
  local other = redis.call('HGET', key('delivery', run_id), 'created_us')
  return other and other ~= created_us and run_id .. '@' .. created_us or run_id
end

-- A run that is over has its webhook called. What it is told is put aside, for run and thread may be gone by then:
-- the run's record, `values` and `interrupts` (null for a thread of the run's own), the status it ended with, and the
-- error as clients see it, where that is not the record's.
local function notify(run_id, thread_id, status, values, interrupts, shown_error)
  local run = key('run', run_id)
  if redis.call('HGET', run, 'webhook') ~= 'pending' then return end
  local name = delivery_name(run_id, redis.call('HGET', run, 'created_us'))
  local delivery = key('delivery', name)
  if redis.call('EXISTS', delivery) == 1 then return end
  local thread = redis.call('HMGET', key('thread', thread_id), 'temporary', 'values')
  redis.call('COPY', run, delivery)
  redis.call('HSET', delivery, 'told_status', status, 'told_interrupts', interrupts or '{}', 'tries', 0)
  if shown_error then redis.call('HSET', delivery, 'told_error', shown_error) end
  if thread[1] ~= '1' then
    redis.call('HSET', delivery, 'told_values', values or thread[2] or 'null')
  end
  redis.call('ZADD', key(delivery_queue(run)), whole(now_ms), name)
end

-- The run's ordinal among those of its thread that were started, or were over before: it never changes, and what the
-- event protocol tells of a thread is numbered by it.
local function give_turn(run_id, thread_id)
  redis.call('HSET', key('run', run_id), 'turn', redis.call('HINCRBY', key('thread', thread_id), 'turns', 1))
end

-- Why a run is cancelled: a sentence, and the client's own words if there are any.
local function say_why_cancelled(run, cause, reason)
  redis.call('HSET', run, 'cancel_cause', cause)
  if reason then redis.call('HSET', run, 'cancel_reason', reason) else redis.call('HDEL', run, 'cancel_reason') end
end

local function superseded_by(run_id, strategy)
  return 'superseded by run ' .. run_id .. ' (multitask_strategy=' .. strategy .. ')'
end

-- The error that a thread shows whose last run was cancelled while it was running.
local function cancelled_error(run)
  local held = redis.call('HMGET', run, 'cancel', 'cancel_cause', 'cancel_reason')
  local message = (held[2] or 'cancelled') .. (held[3] and ': ' .. held[3] or '')
  return cjson.encode({error = held[1] == 'rollback' and 'UserRollback' or 'UserInterrupt', message = message})
end

-- A run that never started is over at once: cancelled, or gone with `rollback`.
local function cancel_waiting(run_id, thread_id, action, cause, reason, event_ttl_s)
  local run = key('run', run_id)
  give_turn(run_id, thread_id)
  redis.call('ZREM', key('thread_queue', thread_id), run_id)
  drop_job(run_id)
  redis.call('HSET', run, 'phase', 'cancelled', 'reason', '', 'cancel', action, 'updated_us', whole(now_us))
  say_why_cancelled(run, cause, reason)
  notify(run_id, thread_id, action == 'rollback' and 'rollback' or 'interrupted')
  append(run_id, {end_entry(run_id, 'interrupted')})
  wake_thread(thread_id)
  if action == 'rollback' then
    drop_run(run_id, thread_id)
  else
    redis.call('EXPIRE', key('events', run_id), event_ttl_s)
  end
end

-- Send a worker a word about a run that it executes. The run's time of creation goes with the id: by an idempotency key
-- a removed run's id may be given to another one.
local function tell_worker(worker, run_id, word)
  local created_us = redis.call('HGET', key('run', run_id), 'created_us')
  redis.call('PUBLISH', key('control', worker), run_id .. '@' .. created_us .. ' ' .. word)
end

-- A running attempt is asked to stop; it answers by settling. The first who asks for an action is its cause.
local function ask_to_cancel(run_id, action, cause, reason)
  local run = key('run', run_id)
  if redis.call('HGET', run, 'cancel') ~= action then say_why_cancelled(run, cause, reason) end
  redis.call('HSET', run, 'cancel', action)
  local worker = redis.call('HGET', run, 'worker')
  if worker then tell_worker(worker, run_id, action) end
end

-- The run that waits for a person is over once the thread goes on without or with an answer.
local function resolve_waiting(thread_id, next_run, answered)
  local thread = key('thread', thread_id)
  local waiting = redis.call('HGET', thread, 'waiting')
  if not waiting then return nil end
  redis.call('HDEL', thread, 'waiting')
  local run = key('run', waiting)
  if redis.call('HGET', run, 'phase') ~= 'waiting_for_approval' then return nil end
  redis.call('HSET', run, 'phase', 'completed', 'resumed_by', next_run, 'updated_us', whole(now_us),
    'reason', answered and 'answered' or 'abandoned: the thread went on without an answer')
  return answered and waiting or nil
end

-- The run's chain goes on in another run: what it used so far, and its first run, are carried over.
local function carry_chain(from, to)
  local held = redis.call('HMGET', key('run', from), 'usage', 'chain')
  redis.call('HSET', key('run', to), 'resumes', from, 'usage', held[1] or '{}', 'chain', held[2] or from)
end

-- Take the lease of a queued run. Returns the attempt's number.
local function take(run_id, thread_id, worker, lease_ms)
  local run, thread = key('run', run_id), key('thread', thread_id)
  local attempt = redis.call('HINCRBY', run, 'attempt', 1)
  if attempt == 1 then give_turn(run_id, thread_id) end
  redis.call('HSET', run, 'phase', 'running', 'reason', '', 'worker', worker, 'seq', 0, 'updated_us', whole(now_us))
  -- a thread without checkpoints need not be asked for its newest one
  redis.call('HSET', run, 'fresh', 1 - redis.call('EXISTS', key('checkpoints', thread_id)))
  redis.call('HSETNX', run, 'started_us', whole(now_us))
  for _, pair in ipairs(groups_of(run_id)) do redis.call('SADD', key('group', pair[1]), run_id) end
  if redis.call('HEXISTS', run, 'suspect') == 1 then redis.call('SADD', key('on_trial'), run_id) end
  redis.call('ZADD', key('leases'), whole(now_ms + lease_ms), run_id)
  redis.call('ZREM', key('thread_queue', thread_id), run_id)
  redis.call('HSET', thread, 'active', run_id, 'status', 'busy')
  redis.call('HDEL', thread, 'error')
  wake_thread(thread_id)
  return attempt
end

-- Whether this attempt still owns its run; and the sequence number of its last group of writes. `incarnation` is when
-- its run was created: a run that was removed and one that was made with the same id both have a first attempt.
local function held_by(run_id, attempt, incarnation)
  local held = redis.call('HMGET', key('run', run_id), 'attempt', 'phase', 'seq', 'cancel', 'thread_id', 'created_us')
  if held[1] ~= tostring(attempt) or held[2] ~= 'running' or held[6] ~= incarnation then return nil end
  return {seq = tonumber(held[3]), cancel = held[4], thread_id = held[5]}
end

-- Whether a group of writes is the next one, the repetition of one that is there, or (nil) one before it is missing:
-- it could not be taken and is sent again, or the server has forgotten it, since a restart or a failover may lose what
-- was acknowledged. Then the attempt must not go on: the log would have a hole.
local function is_next(held, seq)
  if seq <= held.seq then return false end
  if seq == held.seq + 1 then return true end
  return nil
end

local function run_commands(first, last)
  local at = first
  while at <= last do
    local words = tonumber(ARGV[at])
    redis.call(unpack(ARGV, at + 1, at + words))
    at = at + 1 + words
  end
end

-- Whether leases mean nothing yet: the server was away or stood still, so that nobody could renew them. It shows in
-- that none of the many who come often has come for `silence_ms`; then everybody gets one lease's time to report.
local function in_grace(grace)
  local pulse = key('pulse')
  local held = redis.call('HMGET', pulse, 'seen_ms', 'grace_ms')
  local grace_ms = tonumber(held[2]) or 0
  if held[1] and now_ms - tonumber(held[1]) > grace.silence_ms then grace_ms = now_ms + grace.lease_ms end
  redis.call('HSET', pulse, 'seen_ms', whole(now_ms), 'grace_ms', whole(grace_ms))
  return now_ms < grace_ms
end

local function give_up_lease(run_id)
  redis.call('ZREM', key('leases'), run_id)
  redis.call('SREM', key('on_trial'), run_id)
  redis.call('HDEL', key('run', run_id), 'worker', 'inline_request')
  leave_groups(run_id)
end

-- The worker that was taken for dead lives: what is held against the run is one death too many.
local function acquit(run_id, attempt, incarnation)
  local run = key('run', run_id)
  local held = redis.call('HMGET', run, 'died', 'created_us')
  if held[1] ~= tostring(attempt) or held[2] ~= incarnation then return end
  redis.call('HDEL', run, 'died')
  if redis.call('HINCRBY', run, 'suspect', -1) <= 0 then
    redis.call('HDEL', run, 'suspect')
    redis.call('SREM', key('on_trial'), run_id)
  end
end

-- Back into the queue, ahead of the thread's other runs. `counted` says whether the attempt is spent.
local function requeue(run_id, thread_id, counted, reason, delay_ms)
  local run = key('run', run_id)
  give_up_lease(run_id)
  if not counted then redis.call('HINCRBY', run, 'handovers', 1) end
  redis.call('HSET', run, 'phase', 'queued', 'reason', reason, 'due_ms', whole(now_ms + delay_ms),
    'announce', counted and 1 or 0, 'updated_us', whole(now_us))
  redis.call('ZADD', key('thread_queue', thread_id), redis.call('HGET', run, 'created_us'), run_id)
  redis.call('HDEL', key('thread', thread_id), 'active')
  promote(thread_id)
end
