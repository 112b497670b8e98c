--! needs: keys pending_counts
--! rare: delete_spans store_killed_attempt
-- The traces of runs: which trace a run belongs to, and its stored spans (`slipway.tracing`).

-- The stored trace of a run that continues the chain of a run with the trace `earlier`: the same trace, and as its
-- parent the span of that run. `own` is what was decided when it was created, or false: of it, the id of its span
-- stays, and the request that created it becomes a link. What other systems say about the trace is that of `earlier`.
local function inherited_trace(earlier, own)
  local trace_id, parent_id, flags, kept = string.match(earlier, '^00%-(%x+)%-(%x+)%-(%x+),(k?),')
  if not trace_id or not own then return own end
  local own_trace_id, span_id, own_flags, request = string.match(own, '^00%-(%x+)%-(%x+)%-(%x+),k?,(%x*),')
  if not own_trace_id then return own end
  local link = ''
  if request ~= '' and own_trace_id ~= trace_id then
    link = '00-' .. own_trace_id .. '-' .. request .. '-' .. own_flags
  end
  local state = string.match(earlier, '^[^,]*,[^,]*,[^,]*,[^,]*(,.+)$') or ''
  return '00-' .. trace_id .. '-' .. span_id .. '-' .. flags .. ',' .. kept .. ',' .. parent_id .. ',' .. link .. state
end

-- What the keys of a trace need besides its spans.
local BYTES_OF_TRACE = 300

-- Stores a part of the spans of a run. Returns what the caller adds to the pending counts. `new_event` is the id of an
-- event that the script has appended, which begins with the time of Redis; false if it has appended none. The caller
-- stores the field `trace_bytes`.
local function store_spans(run_id, part, new_event)
  local bytes, first_ms = #part, 0
  if redis.call('RPUSH', key('run_trace', run_id), part) == 1 then
    bytes = bytes + BYTES_OF_TRACE
    if new_event then
      first_ms = tonumber(string.match(new_event, '^%d+'))
    else
      local seconds, us = unpack(redis.call('TIME'))
      first_ms = seconds * 1000 + math.floor(us / 1000)
    end
  end
  return cmsgpack.pack(SPANS, run_id, first_ms, bytes)
end

-- Stores that an attempt has ended because its process did, if the spans of the run with this `trace` are kept.
local function store_killed_attempt(run_id, trace, end_of_attempt)
  if not trace or string.sub(trace, 56, 57) ~= ',k' then return end
  local part = cmsgpack.pack(end_of_attempt)
  store_counts(store_spans(run_id, part, false))
  redis.call('HINCRBY', key('run', run_id), 'trace_bytes', #part)
end

-- Deletes the spans of a run. Returns by how many bytes all spans shrink.
local function delete_spans(run_id)
  local bytes = 0
  for _, part in ipairs(redis.call('LRANGE', key('run_trace', run_id), 0, -1)) do bytes = bytes + #part end
  if bytes > 0 then
    redis.call('DEL', key('run_trace', run_id))
    bytes = bytes + BYTES_OF_TRACE
  end
  store_counts(cmsgpack.pack(NO_SPANS, run_id, 0, bytes))
  return bytes
end
