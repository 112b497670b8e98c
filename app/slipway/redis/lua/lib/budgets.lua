--! needs: keys
--! rare: add_to_budgets reserve_in_budgets reserve_once
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

-- Does the same once for each `revision` of the usage of a run, after it has added the entries of `ended`. A revision
-- may arrive later than a higher one, so all are remembered that may be repeated: those from `oldest` on.
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
    return position, used
  end
  redis.call('HSET', run, 'budgeted', table.concat(remembered, ','))
end
