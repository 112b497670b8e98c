--! needs: keys
--! rare: add_to_budgets reserve_in_budgets
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
