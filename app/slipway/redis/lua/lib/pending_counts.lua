--! needs: keys
--! rare: add_up_counts
-- Pending counts: what scripts have counted and nobody has added up yet. A script appends all that it counts to one
-- string, with one command, together with the change that it counts. `add_up_counts` empties the string and applies it
-- to the metrics, to the set of queued runs, and to what is known of all traces; whoever reads one of these calls it
-- first. The script after which the string is long does so too, so no call takes long: about a millisecond.
--
-- The string consists of MessagePack values, four for each item: its kind, a name, and two values.

-- A field of the metrics; by how much it grows; 0.
local COUNTER = 1
-- The field of a bucket; how many observations; their sum in µs.
local OBSERVATIONS = 2
-- A series of waits; an observation in µs; 0.
local WAIT = 3
-- A series of waits; an observation in µs; what is stored as the exemplar of its bucket.
local EXEMPLAR = 4
-- A member of the set of queued runs; by how much a counter grows; that field of the metrics.
local ENTERS_QUEUE = 5
-- A member of the set of queued runs; how long it waited in µs; the series of waits. Or 0 and ''.
local LEAVES_QUEUE = 6
-- A run; when its first spans were stored in ms, 0 for further ones; by how many bytes all spans grow.
local SPANS = 7
-- A run; 0; by how many bytes all spans shrink.
local NO_SPANS = 8

local MOST_PENDING_BYTES = 32768
-- How many values are read at a time: whole items, and fewer than Lua's stack can hold.
local VALUES_READ = 1000

-- The number of the bucket for a time in µs. The bounds are `WAITS` in `telemetry/table/buckets.py`.
local function wait_bucket(us)
  if us <= 10000 then return 1 end
  if us <= 30000 then return 2 end
  if us <= 100000 then return 3 end
  if us <= 300000 then return 4 end
  if us <= 1000000 then return 5 end
  if us <= 3000000 then return 6 end
  if us <= 10000000 then return 7 end
  if us <= 30000000 then return 8 end
  if us <= 60000000 then return 9 end
  if us <= 180000000 then return 10 end
  if us <= 600000000 then return 11 end
  if us <= 1800000000 then return 12 end
  if us <= 3600000000 then return 13 end
  if us <= 14400000000 then return 14 end
  if us <= 86400000000 then return 15 end
  if us <= 604800000000 then return 16 end
  return 17
end

-- Stores what the items have counted of the metrics. `waits` has by series the numbers of observations in buckets, and
-- their sum as the member `us`.
local function store_metrics(counts, sums, waits, texts)
  local metrics = key('metrics')
  for field, us in pairs(sums) do redis.call('HINCRBY', metrics, string.gsub(field, '%d+$', 'us', 1), us) end
  for field, by in pairs(counts) do redis.call('HINCRBY', metrics, field, by) end
  for series, wait in pairs(waits) do
    for part, by in pairs(wait) do redis.call('HINCRBY', metrics, series .. '\31' .. part, by) end
  end
  for field, text in pairs(texts) do redis.call('HSET', metrics, field, text) end
end

-- The members that are added to a sorted set, each after its score, and those that are removed. `scores` has the score
-- of each, false for one that is removed.
local function added_and_removed(scores)
  local added, removed = {}, {}
  for member, score in pairs(scores) do
    if score then
      added[#added + 1], added[#added + 2] = score, member
    else
      removed[#removed + 1] = member
    end
  end
  return added, removed
end

local function add_up_counts()
  -- needs no memory: a full Redis rejects a script if its first write does
  local pending = redis.call('GETDEL', key('pending_counts'))
  if not pending then return end
  local counts, sums, waits, texts, queued, traces, trace_bytes, position = {}, {}, {}, {}, {}, {}, 0, 0

  local function observe(series, us)
    local wait, bucket = waits[series], wait_bucket(us)
    if not wait then
      wait = {us = 0}
      waits[series] = wait
    end
    wait.us, wait[bucket] = wait.us + us, (wait[bucket] or 0) + 1
  end

  repeat
    local read = {pcall(cmsgpack.unpack_limit, pending, VALUES_READ, position)}
    -- what is behind damaged bytes cannot be read
    position = read[1] and read[2] or -1
    for i = 3, #read - 3, 4 do
      local kind, name, value, other = read[i], read[i + 1], read[i + 2], read[i + 3]
      if kind == OBSERVATIONS then
        counts[name], sums[name] = (counts[name] or 0) + value, (sums[name] or 0) + other
      elseif kind == COUNTER then
        counts[name] = (counts[name] or 0) + value
      elseif kind == WAIT then
        observe(name, value)
      elseif kind == ENTERS_QUEUE then
        queued[name] = 0
        if value > 0 then counts[other] = (counts[other] or 0) + value end
      elseif kind == LEAVES_QUEUE then
        queued[name] = false
        if other ~= '' then observe(other, value) end
      elseif kind == EXEMPLAR then
        texts[name .. '\31' .. wait_bucket(value) .. 'x'] = other
      elseif kind == SPANS then
        if value > 0 then traces[name] = value end
        trace_bytes = trace_bytes + other
      elseif kind == NO_SPANS then
        traces[name], trace_bytes = false, trace_bytes - other
      end
    end
  until position == -1
  store_metrics(counts, sums, waits, texts)
  -- each item has more than 50 bytes, so `unpack` has room for all of them
  local added, removed = added_and_removed(queued)
  if #added > 0 then redis.call('ZADD', key('queued_runs'), unpack(added)) end
  if #removed > 0 then redis.call('ZREM', key('queued_runs'), unpack(removed)) end
  added, removed = added_and_removed(traces)
  if #added > 0 then redis.call('ZADD', key('traces'), unpack(added)) end
  if #removed > 0 then redis.call('ZREM', key('traces'), unpack(removed)) end
  if trace_bytes ~= 0 then redis.call('INCRBY', key('trace_bytes'), trace_bytes) end
end

-- Adds items to the pending counts. A script that each run calls puts all of its items together and calls it once.
local function store_counts(items)
  if items ~= '' and redis.call('APPEND', key('pending_counts'), items) > MOST_PENDING_BYTES then add_up_counts() end
end
