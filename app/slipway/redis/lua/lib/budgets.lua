--! needs: clock keys
-- Budgets of owners and graphs by day and month. See `budget_counts/`.
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

local function subtract_from_budgets(entries)
  for _, entry in ipairs(entries) do entry[3] = -entry[3] end
  add_to_budgets(entries)
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

-- Keeps the event that a budget has a new state, once for each state, limit and period. `run` is the map of the run
-- that has changed it: `id`, `graph_id` and `owner`. Returns whether there is a new event.
local function keep_budget_event(entry, run, has_no_room)
  local id, counted, limit = entry[1], entry[2], tonumber(entry[4])
  local budget = key('budget', id)
  local used, told = unpack(redis.call('HMGET', budget, counted, 'told:' .. counted))
  used = tonumber(used) or 0
  local state = (has_no_room or used >= limit) and 'used_up' or used >= BUDGET_WARNING_AT * limit and 'warning'
  local limit_text = integer_text(limit)
  if not state or told == 'used_up ' .. limit_text or told == state .. ' ' .. limit_text then return false end
  redis.call('HSET', budget, 'told:' .. counted, state .. ' ' .. limit_text)
  redis.call('PEXPIREAT', budget, integer_text(entry[5]))
  redis.call('HSET', key('budget_events'), table.concat({id, counted, state, limit_text}, '\n'), cmsgpack.pack({
    budget_id = id, counted = counted, state = state, used = used, limit = limit, ends_ms = tonumber(entry[5]),
    run_id = run.id, graph_id = run.graph_id, owner = run.owner}))
  return true
end

-- Keeps the events of these budgets after a run has reserved in them. `position` is that of the entry without room, or
-- nil. Returns whether there are new events.
local function keep_budget_events(entries, position, run)
  if position then return keep_budget_event(entries[position], run, true) end
  local any = false
  for _, entry in ipairs(entries) do any = keep_budget_event(entry, run) or any end
  return any
end
