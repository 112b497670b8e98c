--! needs: keys terms
--! rare: index_error unindex_run
-- The indexes of runs across threads: sorted sets of run ids, scored by creation time in µs. A run is in the set of its
-- phase, and in one set for each of its index terms.

-- The name of the set of a phase. Runs that are queued, running or paused share one, so that a claim moves nothing.
local function phase_set(phase)
  if phase == 'queued' or phase == 'running' or phase == 'paused' then return 'unfinished' end
  return phase
end

-- Adds a new run. `terms` is the list of its index terms.
local function index_run(run_id, created_us, terms)
  redis.call('ZADD', key('runs_with', 'unfinished'), created_us, run_id)
  for _, term in ipairs(terms) do redis.call('ZADD', key('runs_with', term), created_us, run_id) end
end

-- Moves a run from the set of one phase to that of another.
local function index_phase(run_id, created_us, before, after)
  redis.call('ZREM', key('runs_with', phase_set(before)), run_id)
  redis.call('ZADD', key('runs_with', phase_set(after)), created_us, run_id)
end

-- Adds a run that failed to the set of its error code.
local function index_error(run_id, created_us, term)
  redis.call('HSET', key('run', run_id), 'error_term', term)
  redis.call('ZADD', key('runs_with', term), created_us, run_id)
end

-- Removes a run from the set of those that are paused before a switch; `switch` is its key, or false.
local function unindex_paused(run_id, switch)
  redis.call('ZREM', key('paused_runs'), run_id)
  if switch then redis.call('ZREM', key('switch_runs', switch), run_id) end
end

-- Removes a run from all sets, before its record is deleted or expires. Returns the record's fields `reviews`,
-- `phase` and `trace_bytes`.
local function unindex_run(run_id)
  local fields = redis.call('HMGET', key('run', run_id), 'phase', 'terms', 'error_term', 'switch',
    'reviews', 'trace_bytes')
  if not fields[1] then return end
  if fields[1] == 'paused' then unindex_paused(run_id, fields[4]) end
  redis.call('ZREM', key('runs_with', phase_set(fields[1])), run_id)
  local terms = fields[2] or ''
  for first = 1, #terms, TERM_LENGTH do
    redis.call('ZREM', key('runs_with', string.sub(terms, first, first + TERM_LENGTH - 1)), run_id)
  end
  if fields[3] then redis.call('ZREM', key('runs_with', fields[3]), run_id) end
  return fields[5], fields[1], fields[6]
end
