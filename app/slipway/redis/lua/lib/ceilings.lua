-- The ceilings of a run as its record stores them: the numbers in the order of the names, separated by commas. A place
-- is empty if there is no limit, and absent at the end. A short text keeps the record small: one value of more than 64
-- bytes would make Redis store the whole hash in a larger form. Earlier releases stored a JSON object, and later ones
-- may store further numbers.

-- In the order of `NAMES` in `slipway/accounting/limits.py`.
local CEILING_NAMES = {
  'max_steps', 'max_node_visits', 'max_attempts', 'max_retries', 'max_active_s', 'max_step_s', 'max_state_bytes',
  'max_event_bytes', 'max_tool_calls', 'max_tokens', 'max_cost_usd',
}

-- The limits of a stored text, by name.
local function limits_of(stored)
  if string.sub(stored, 1, 1) == '{' then return cjson.decode(stored) end
  local limits, place = {}, 0
  for number in string.gmatch(stored .. ',', '([^,]*),') do
    place = place + 1
    if CEILING_NAMES[place] then limits[CEILING_NAMES[place]] = tonumber(number) end
  end
  return limits
end

-- The text for these limits. A number is written with 17 digits, so that no limit is rounded.
local function stored_limits(limits)
  local numbers = {}
  for place, name in ipairs(CEILING_NAMES) do
    numbers[place] = limits[name] and string.format('%.17g', limits[name]) or ''
  end
  return (string.gsub(table.concat(numbers, ','), ',+$', ''))
end
