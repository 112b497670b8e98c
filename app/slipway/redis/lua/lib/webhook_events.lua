--! needs: clock deliveries keys
--! rare: create_event_delivery emit emit_ceiling emit_review_event emit_run
-- Webhook events: what endpoints are told about a change, created as deliveries by the script that makes the change. So
-- a change and its deliveries are stored together or not at all. See `webhooks/event_types.py`.
--
-- The hash of subscriptions does not exist while no endpoint is enabled. Its fields are described in
-- `lib/webhook_subscriptions.lua`.

local has_subscriptions = nil

-- Whether any endpoint is subscribed to anything. Reads at most once in a call of a script.
local function is_anything_subscribed()
  if has_subscriptions == nil then has_subscriptions = redis.call('EXISTS', key('webhook_subscriptions')) == 1 end
  return has_subscriptions
end

-- A time in µs as ISO 8601.
local function iso(time_us)
  local days = math.floor(time_us / 86400000000)
  local us = time_us - days * 86400000000
  -- the era of 400 years, and the day, year and month in it, counted from March: the leap day is the last of its year
  local from_march = days + 719468
  local era = math.floor(from_march / 146097)
  local day = from_march - era * 146097
  local year = math.floor((day - math.floor(day / 1460) + math.floor(day / 36524) - math.floor(day / 146096)) / 365)
  local day_of_year = day - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * day_of_year + 2) / 153)
  local day_of_month = day_of_year - math.floor((153 * month + 2) / 5) + 1
  month = month < 10 and month + 3 or month - 9
  year = year + era * 400 + (month <= 2 and 1 or 0)
  local seconds = math.floor(us / 1000000)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, day_of_month, math.floor(seconds / 3600),
    math.floor(seconds / 60) % 60, seconds % 60, us % 1000000)
end

local function escaped_byte(byte) return string.format('%%%02X', string.byte(byte)) end

-- One segment of a path, with every byte escaped that has a meaning in a URL.
local function escaped_segment(text)
  return (string.gsub(text, '[^%w%-._~]', escaped_byte))
end

-- The path of a run.
local function run_link(thread_id, run_id)
  return '/threads/' .. escaped_segment(thread_id) .. '/runs/' .. escaped_segment(run_id)
end

-- A member with more bytes is null: clients choose some of the texts, and a thin body must stay small.
local MOST_MEMBER_BYTES = 2000

-- The members of an object as JSON, without braces. `members` is a list of names and values in turn: false leaves a
-- member out; a text is encoded, and a table {json} is JSON already.
local function json_members(members)
  local parts = {}
  for i = 1, #members, 2 do
    local name, value = members[i], members[i + 1]
    local json = type(value) == 'table' and value[1] or type(value) == 'string' and cjson.encode(value)
    if json then
      parts[#parts + 1] = cjson.encode(name) .. ':' .. (#json > MOST_MEMBER_BYTES and 'null' or json)
    end
  end
  return table.concat(parts, ',')
end

-- The subscriptions to an event, each once: a list of tables: `id` of the endpoint, `queue` (key kind),
-- `is_full`, and `owner` (the one that the endpoint names, or false). The argument `owner` is JSON, and it and
-- `graph_id` may be false: then only endpoints match that name none.
local function subscriptions_to(event_type, graph_id, owner)
  local names, owners = {}, {}
  for _, wanted in ipairs({event_type, string.match(event_type, '^[^.]+') .. '.*', '*'}) do
    for _, wanted_owner in ipairs(owner and {'', owner} or {''}) do
      for _, wanted_graph in ipairs(graph_id and {'', graph_id} or {''}) do
        names[#names + 1] = wanted .. '\n' .. wanted_owner .. '\n' .. wanted_graph
        owners[#names] = wanted_owner ~= '' and wanted_owner
      end
    end
  end
  local found, seen = {}, {}
  for i, list in ipairs(redis.call('HMGET', key('webhook_subscriptions'), unpack(names))) do
    for id, queue, format in string.gmatch(list or '', '(%S+):(%a):(%a)') do
      if not seen[id] then
        seen[id] = true
        found[#found + 1] = {id = id, queue = queue == 'i' and 'internal_deliveries' or 'deliveries',
          is_full = format == 'f', owner = owners[i] and cjson.decode(owners[i])}
      end
    end
  end
  return found
end

local emitted_events = 0

-- Stores in the delivery of a full event what its body shows of a run, which may be deleted before the call: a copy of
-- the record. `state` has the `status` of the run, and the `values` and `interrupts` of its thread and the
-- `shown_error`, if they are not what is stored.
local function store_run(delivery, run_id, thread_id, state)
  redis.call('COPY', key('run', run_id), delivery)
  redis.call('HDEL', delivery, 'webhook_queue', 'webhook_origin')
  local temporary, values = unpack(redis.call('HMGET', key('thread', thread_id), 'temporary', 'values'))
  redis.call('HSET', delivery, 'body_interrupts', state.interrupts or '{}')
  if state.status then redis.call('HSET', delivery, 'body_status', state.status) end
  if state.shown_error then redis.call('HSET', delivery, 'body_error', state.shown_error) end
  if state.status and temporary ~= '1' then
    redis.call('HSET', delivery, 'body_values', state.values or values or 'null')
  end
end

-- The same of a review.
local function store_review(delivery, review_id)
  local question, answer, decision = unpack(redis.call('HMGET', key('review', review_id), 'question', 'answer',
    'decision'))
  redis.call('HSET', delivery, 'review_question', question)
  if answer then redis.call('HSET', delivery, 'review_answer', answer) end
  if decision then redis.call('HSET', delivery, 'review_decision', decision) end
end

-- Stores in the delivery of a full event what its body is made of: `full_data` (JSON), the review `review_id`, or a run
-- with its `state`. Returns whether there is anything.
local function store_subject(delivery, subject)
  if subject.full_data then
    redis.call('HSET', delivery, 'full_data', subject.full_data)
  elseif subject.review_id then
    store_review(delivery, subject.review_id)
  elseif subject.state then
    store_run(delivery, subject.run_id, subject.thread_id, subject.state)
  else
    return false
  end
  return true
end

-- Stores the delivery of an event to one endpoint. `subject` is as for `emit`, `endpoint` as `subscriptions_to` returns
-- it. Returns its id, which is the `webhook-id`: no other event and no other endpoint has the same. Its last digits
-- name the shard: those of the run, which is in this shard, or the number of this shard.
local function create_event_delivery(event_type, subject, body, endpoint)
  local occurrence = subject.once or integer_text(now_us) .. '\n' .. emitted_events
  local identity = table.concat({event_type, subject.id, occurrence, endpoint.id}, '\n')
  local digits = subject.run_id and string.sub(subject.run_id, -3)
    or string.format('%03x', tonumber(string.match(PREFIX, '{(%d+)}$') or 0))
  local name = 'msg_' .. string.sub(redis.sha1hex(identity), 1, 29) .. digits
  if subject.once and redis.call('EXISTS', key('delivery', name)) == 1 then return name end
  if endpoint.is_full and store_subject(key('delivery', name), subject) then
    redis.call('HSET', key('delivery', name), 'unbuilt', 1)
  end
  redis.call('HSET', key('delivery', name), 'body', body)
  add_delivery(name, endpoint.queue, endpoint.id, event_type, subject.run_id, endpoint.owner, {'thread_id',
    subject.thread_id or '', 'graph_id', subject.graph_id or ''})
  return name
end

-- The thin body of an event.
local function thin_body(event_type, members)
  return '{"type":' .. cjson.encode(event_type) .. ',"timestamp":"' .. iso(now_us) .. '","data":{'
    .. json_members(members) .. '}}'
end

-- Creates the deliveries of an event: one for each endpoint that is subscribed to it. Call it only if
-- `is_anything_subscribed`. `subject` is a table: `id`, which identifies what has changed; `graph_id` and `owner` (the
-- owner as JSON), or false; `run_id` and `thread_id`, or nil; `once`, a text if this may be called again for the same
-- event, which has the same text then; and what a full body is made of (`store_subject`). `members` are those of the
-- member `data` of the body.
local function emit(event_type, subject, members)
  local endpoints = subscriptions_to(event_type, subject.graph_id, subject.owner)
  if #endpoints == 0 then return end
  emitted_events = emitted_events + 1
  local body = thin_body(event_type, members)
  for _, endpoint in ipairs(endpoints) do create_event_delivery(event_type, subject, body, endpoint) end
end

-- Creates the deliveries of the phase that a run has now. `state` is what `store_run` needs, or nil.
local function emit_run(run_id, phase, state)
  local run = key('run', run_id)
  local thread_id, assistant_id, graph_id, owner, attempt, reason, stored_phase = unpack(redis.call('HMGET', run,
    'thread_id', 'assistant_id', 'graph_id', 'm:owner', 'attempt', 'reason', 'phase'))
  if not thread_id then return end
  local subject = {id = run_id, run_id = run_id, thread_id = thread_id, graph_id = graph_id, owner = owner,
    state = state or {}}
  emit('run.' .. phase, subject, {'run_id', run_id, 'thread_id', thread_id, 'assistant_id', assistant_id, 'graph_id',
    graph_id, 'owner', {owner}, 'phase', phase, 'attempt', {attempt}, 'error_code', phase == 'failed' and reason,
    'deleted', {stored_phase ~= phase and 'true'}, 'link', run_link(thread_id, run_id)})
end

-- A run has a new phase: call it when the record has it, and before the record is deleted. `state` is for full events
-- of runs that have ended or wait (`store_run`), nil for others.
local function emit_phase(run_id, phase, state)
  if is_anything_subscribed() then emit_run(run_id, phase, state) end
end

-- Creates the deliveries of what has happened to a review.
local function emit_review_event(what, id)
  local review = key('review', id)
  local run_id, thread_id, graph_id, node, state, due_us, asked_before = unpack(redis.call('HMGET', review, 'run_id',
    'thread_id', 'graph_id', 'node', 'state', 'due_us', 'asked_before'))
  if not run_id then return end
  local subject = {id = id, run_id = run_id, thread_id = thread_id, graph_id = graph_id,
    owner = redis.call('HGET', key('run', run_id), 'm:owner'), review_id = id}
  emit('review.' .. what, subject, {'review_id', id, 'run_id', run_id, 'thread_id', thread_id, 'graph_id', graph_id,
    'owner', {subject.owner}, 'node', node, 'state', state, 'due_at', due_us and iso(tonumber(due_us)), 'asked_before',
    asked_before, 'link', '/ops/reviews/' .. escaped_segment(id)})
end

-- Something has happened to a review: it was `opened`, was found `due`, was `decided` or `expired`. Call it when the
-- record says so.
local function emit_review(what, id)
  if is_anything_subscribed() then emit_review_event(what, id) end
end

-- Creates the deliveries of a warning that most of a ceiling is used. `warning` is the mark of the notice in the log:
-- `ceiling:NAME:USED:LIMIT`.
local function emit_ceiling(run_id, warning)
  if not is_anything_subscribed() then return end
  local ceiling, used, limit = string.match(warning, '^ceiling:([^:]+):([^:]+):([^:]+)$')
  local thread_id, graph_id, owner = unpack(redis.call('HMGET', key('run', run_id), 'thread_id', 'graph_id', 'm:owner'))
  if not ceiling or not thread_id then return end
  local subject = {id = run_id .. ':' .. ceiling, run_id = run_id, thread_id = thread_id, graph_id = graph_id,
    owner = owner}
  emit('ceiling.warning', subject, {'run_id', run_id, 'thread_id', thread_id, 'graph_id', graph_id, 'owner', {owner},
    'ceiling', ceiling, 'used', {used}, 'limit', {limit}, 'link', run_link(thread_id, run_id)})
end
