--! needs: ceilings keys metrics phases reviews run_indexes traces webhook_events
--! rare: delete_run inherit_chain
-- The run record: its ordinal, its chain, its deletion.

-- Assigns the number of a run within its thread: when its first attempt starts, or when it is cancelled before that. It
-- never changes, and the event protocol numbers the events of a thread by it.
local function assign_ordinal(run_id, thread_id)
  local ordinal = redis.call('HINCRBY', key('thread', thread_id), 'started_runs', 1)
  redis.call('HSET', key('run', run_id), 'ordinal', ordinal)
end

-- Lowers the ceilings of the run `to` to the `earlier` ones of its chain, a stored text. Those that an operator has
-- `raised` for the chain stay raised.
local function lower_ceilings(to, earlier, raised)
  local run = key('run', to)
  local limits, lowered = limits_of(redis.call('HGET', run, 'ceilings')), false
  for name, limit in pairs(limits_of(earlier)) do
    if not limits[name] or limit < limits[name] then limits[name], lowered = limit, true end
  end
  for name, limit in pairs(raised and limits_of(raised) or {}) do
    if limits[name] and limit > limits[name] then limits[name], lowered = limit, true end
  end
  if lowered then redis.call('HSET', run, 'ceilings', stored_limits(limits)) end
end

-- Makes the run `to` continue the chain of `from`: it inherits the usage, the id and the user of the chain's first run,
-- every ceiling that is lower than its own, every ceiling that an operator has raised for the chain, and the trace.
local function inherit_chain(from, to)
  local fields = redis.call('HMGET', key('run', from), 'usage', 'chain_id', 'ceilings', 'chain_user', 'user', 'metered',
    'raised_ceilings', 'trace')
  local run = key('run', to)
  redis.call('HSET', run, 'resumes', from, 'usage', fields[1] or '[]', 'chain_id', fields[2] or from)
  local user = fields[4] or fields[5]
  if user then redis.call('HSET', run, 'chain_user', user) end
  if fields[6] then redis.call('HSET', run, 'metered', fields[6]) end
  if fields[7] then redis.call('HSET', run, 'raised_ceilings', fields[7]) end
  if fields[3] then lower_ceilings(to, fields[3], fields[7]) end
  local trace = fields[8] and inherited_trace(fields[8], redis.call('HGET', run, 'trace'))
  if trace then redis.call('HSET', run, 'trace', trace) end
end

-- The event log stays for a minute, so that followers receive the last events, and so does the list of other threads
-- that have checkpoints of the run, from which they are deleted next. For webhook events, a run that had not
-- ended is cancelled by its deletion.
local function delete_run(run_id, thread_id)
  leave_queued(run_id)
  local reviews, phase, trace_bytes = unindex_run(run_id)
  if phase and not is_final(phase) then
    emit_phase(run_id, 'cancelled', {status = 'interrupted'})
    count_idle_run_end(run_id, 'cancelled', phase)
  end
  if reviews then delete_reviews(run_id, reviews) end
  if trace_bytes then delete_spans(run_id) end
  redis.call('DEL', key('run', run_id), key('run_audit', run_id))
  redis.call('ZREM', key('thread_runs', thread_id), run_id)
  redis.call('PEXPIRE', key('events', run_id), 60000)
  redis.call('PEXPIRE', key('checkpoint_threads', run_id), 60000)
end
