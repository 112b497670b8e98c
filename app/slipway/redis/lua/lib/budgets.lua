--! needs: clock keys webhook_events
--! rare: add_to_budgets emit_budget_states emit_budget_states_of reserve_in_budgets reserve_once
-- Budgets of owners and graphs by day and month. See `metering/budgets.py`.
--
-- Each entry is {id, field, amount, limit, resets_ms}: the id of the budget (scope, period, its first day, name), the
-- field that counts, what to add to it, the limit, and when the period ends.

-- Adds the amounts, without comparing them with the limits.
local function add_to_budgets(entries)
  for _, entry in ipairs(entries) do
    local budget = key('budget', entry[1])
    redis.call('HINCRBY', budget, entry[2], string.format('%.0f', entry[3]))
    redis.call('PEXPIREAT', budget, string.format('%.0f', entry[5]))
    redis.call('ZADD', key('budgets_used'), entry[5], entry[1])
  end
end

-- Adds the amounts to all budgets, if all of them have room. Else returns the position of the first entry without room,
-- and what its field has, and changes nothing.
local function reserve_in_budgets(entries)
  for position, entry in ipairs(entries) do
    local used = tonumber(redis.call('HGET', key('budget', entry[1]), entry[2])) or 0
    if used + entry[3] > entry[4] then return position, string.format('%.17g', used) end
  end
  add_to_budgets(entries)
end

-- From which part of a limit on a webhook event warns.
local BUDGET_WARNING_AT = 0.8

-- Creates the deliveries of the state of one budget, once for each state, limit and period.
local function emit_budget_state(entry, run_id, graph_id, owner, has_no_room)
  local id, counted, limit, ends_ms = entry[1], entry[2], tonumber(entry[4]), tonumber(entry[5])
  local budget = key('budget', id)
  local used, told = unpack(redis.call('HMGET', budget, counted, 'told:' .. counted))
  used = tonumber(used) or 0
  local state = (has_no_room or used >= limit) and 'used_up' or used >= BUDGET_WARNING_AT * limit and 'warning'
  local limit_text = integer_text(limit)
  if not state or told == 'used_up ' .. limit_text or told == state .. ' ' .. limit_text then return end
  redis.call('HSET', budget, 'told:' .. counted, state .. ' ' .. limit_text)
  redis.call('PEXPIREAT', budget, integer_text(ends_ms))
  local scope, period, first_day, name = string.match(id, '^([^|]*)|([^|]*)|([^|]*)|(.*)$')
  -- what all users together use of a graph is nobody's but the operators'
  local subject = {id = id .. ':' .. counted, graph_id = scope == 'graph' and name or graph_id,
    owner = scope == 'owner' and owner, run_id = run_id}
  local unit = counted == 'cost_usd' and 1e9 or 1
  emit('budget.' .. state, subject, {'scope', scope, 'name', name, 'period', period, 'first_day', first_day,
    'resets_at', iso(ends_ms * 1000), 'counted', counted, 'used', {string.format('%.15g', used / unit)}, 'limit',
    {string.format('%.15g', limit / unit)}, 'run_id', run_id, 'graph_id', graph_id, 'link', '/ops/budgets'})
end

-- Tells webhook endpoints which of these budgets are nearly or fully used, after a run has reserved in them. `position`
-- is that of the entry without room, or nil. `graph_id` and `owner` are those of the run.
local function emit_budget_states(entries, position, run_id, graph_id, owner)
  if not is_anything_subscribed() then return end
  if position then return emit_budget_state(entries[position], run_id, graph_id, owner, true) end
  for _, entry in ipairs(entries) do emit_budget_state(entry, run_id, graph_id, owner) end
end

-- The same for a run whose record is stored.
local function emit_budget_states_of(run_id, entries, position)
  if not is_anything_subscribed() then return end
  local graph_id, owner = unpack(redis.call('HMGET', key('run', run_id), 'graph_id', 'm:owner'))
  emit_budget_states(entries, position, run_id, graph_id, owner)
end

-- Reserves in budgets once for each `revision` of the usage of a run, after it has added the entries of `ended`. A
-- revision may arrive later than a higher one, so all are remembered that may be repeated: those from `oldest` on.
local function reserve_once(run_id, revision, oldest, entries, ended)
  local run, remembered = key('run', run_id), {revision}
  for text in string.gmatch(redis.call('HGET', run, 'budgeted') or '', '%d+') do
    local other = tonumber(text)
    if other == revision then return end
    if other >= oldest then remembered[#remembered + 1] = text end
  end
  add_to_budgets(ended)
  local position, used = reserve_in_budgets(entries)
  if position then
    for _, entry in ipairs(ended) do entry[3] = -entry[3] end
    add_to_budgets(ended)
    emit_budget_states_of(run_id, entries, position)
    return position, used
  end
  redis.call('HSET', run, 'budgeted', table.concat(remembered, ','))
  emit_budget_states_of(run_id, entries)
end
