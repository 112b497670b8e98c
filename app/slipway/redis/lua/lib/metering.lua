--! needs: keys
-- What a chain has used of models and tools: the field `metered` of a run. See `accounting/metered_usage.py`.

-- The revision of a stored text, which begins with it: `[12,…`.
local function metered_revision(text)
  return tonumber(string.match(text or '', '^%[(%d+)')) or 0
end

-- Stores the text, if it is newer than what is stored: a repetition of the call, and a write that arrives late, change
-- nothing.
local function store_metered(run_id, text)
  local run = key('run', run_id)
  if metered_revision(redis.call('HGET', run, 'metered')) < metered_revision(text) then
    redis.call('HSET', run, 'metered', text)
  end
end
