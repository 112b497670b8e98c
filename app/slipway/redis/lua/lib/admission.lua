--! needs: clock jobs keys
--! rare: admit learn_run_bytes measure_memory expected_by_graph
-- Admission: whether the memory of Redis has room for what a request stores, and for what the run that it creates will
-- store. The room is what remains below the high-water mark (`mark`, a part of maxmemory) when the runs that execute,
-- and those whose jobs are due, also in lanes, have stored what runs of their graphs usually store. It is measured with
-- INFO; between two measurements, what is admitted is subtracted from it.
--
-- Where several shards share a server, each may use its part of the memory below the mark: `sharing` is how many they
-- are. Threads are spread evenly.

local NO_LIMIT = 2 ^ 50
local UNKNOWN_RUN_BYTES = 64 * 1024 -- expected of a run of a graph of which no run has ended yet
local MEASURE_AGAIN_MS = 10
local MEASURE_OLD_MS = 500
local READ_RUNS = 100

-- How many bytes a run of each graph is expected to store.
local function expected_by_graph()
  local fields, expected = redis.call('HGETALL', key('memory')), {}
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 4) == 'run:' then expected[string.sub(fields[i], 5)] = tonumber(fields[i + 1]) end
  end
  return expected
end

-- Measures the memory. Returns the room; the room if the due jobs do not start (`startable`); the used bytes, those
-- that Redis may use (0: no limit), and those that are expected. `sharing` is nil if the shard has its server for
-- itself.
local function measure_memory(mark, sharing)
  local info = redis.pcall('INFO', 'memory')
  local text = type(info) == 'string' and info or ''
  local used = tonumber(string.match(text, 'used_memory:(%d+)')) or 0
  used = used - (tonumber(string.match(text, 'mem_not_counted_for_evict:(%d+)')) or 0)
  local max = tonumber(string.match(text, '\nmaxmemory:(%d+)')) or 0
  local room, startable, reserved = NO_LIMIT, NO_LIMIT, 0
  if max > 0 then
    local expected = expected_by_graph()
    -- what all members are expected to store, if they are like these first ones
    local function expected_of_all(members, count)
      local bytes = 0
      for _, member in ipairs(members) do
        local run_id = split_job(member) or member
        bytes = bytes + (expected[redis.call('HGET', key('run', run_id), 'graph_id')] or UNKNOWN_RUN_BYTES)
      end
      return #members > 0 and bytes * count / #members or 0
    end
    local running = expected_of_all(redis.call('ZRANGE', key('leases'), 0, READ_RUNS - 1),
      redis.call('ZCARD', key('leases')))
    local due = expected_of_all(redis.call('ZRANGE', key('queue'), 0, READ_RUNS - 1), redis.call('ZCARD', key('queue')))
    for _, lane in ipairs(redis.call('HKEYS', key('version_lanes'))) do
      local of_run = expected[string.match(lane, '^(.*)@')] or UNKNOWN_RUN_BYTES -- the runs of a lane have one graph
      due = due + of_run * redis.call('ZCARD', key('version_queue', lane))
    end
    reserved = running + due
    startable = math.floor((mark * max - used) / (sharing or 1) - running)
    room = math.floor(startable - due)
  end
  -- a full Redis rejects this
  redis.pcall('HSET', key('memory'), 'room', integer_text(room), 'startable', integer_text(startable),
    'measured_ms', integer_text(now_ms), 'used', integer_text(used), 'max', integer_text(max),
    'reserved', integer_text(reserved))
  return room, startable, used, max, reserved
end

-- Subtracts `bytes`, and what a run of `graph_id` (or nil) is expected to store, from the room. Returns nil and the
-- bytes that the caller may store before it asks again, 0 near the mark; or an error reply if there is no room. A run
-- is admitted when no other is in progress and memory is below the mark, whatever it is expected to store.
local function admit(mark, sharing, bytes, graph_id)
  local fields = redis.call('HMGET', key('memory'), 'room', 'measured_ms', 'used', 'max', 'reserved',
    'run:' .. (graph_id or ''))
  local room, used, max = tonumber(fields[1]), tonumber(fields[3]), tonumber(fields[4])
  local reserved, age_ms = tonumber(fields[5]), now_ms - (tonumber(fields[2]) or 0)
  local needed = bytes + (graph_id and (tonumber(fields[6]) or UNKNOWN_RUN_BYTES) or 0)
  if not room or age_ms >= MEASURE_OLD_MS or needed > room and age_ms >= MEASURE_AGAIN_MS then
    local _
    room, _, used, max, reserved = measure_memory(mark, sharing)
  end
  local is_idle = needed > room and redis.call('ZCARD', key('leases')) + redis.call('ZCARD', key('queue')) == 0
  if needed > room and not (is_idle and graph_id and used + bytes <= mark * max) then
    return redis.error_reply(string.format('OVERLOADED %.4f %.4f %.4f', used / max, reserved / max, mark))
  end
  if room == NO_LIMIT then return nil, integer_text(NO_LIMIT) end
  redis.call('HINCRBY', key('memory'), 'room', integer_text(-needed))
  return nil, integer_text(room > max / 4 / (sharing or 1) and math.floor(room / 64) or 0)
end

-- Returns how many bytes runs may be expected to store that start now; nil if memory is far from the mark.
local function startable_bytes(mark, sharing)
  local fields = redis.call('HMGET', key('memory'), 'startable', 'measured_ms', 'max', 'room')
  local startable, max = tonumber(fields[1]), tonumber(fields[3])
  local age_ms = now_ms - (tonumber(fields[2]) or 0)
  local near_from = (max or 0) / 4 / (sharing or 1)
  local near = not startable or startable <= near_from
  if not fields[4] or age_ms >= MEASURE_OLD_MS or near and age_ms >= MEASURE_AGAIN_MS then
    local _
    _, startable, _, max = measure_memory(mark, sharing)
    near_from = max / 4 / (sharing or 1)
  end
  if startable > near_from then return nil end
  return startable
end

-- Stores what runs of this graph store, as a process has learnt it from runs that ended. It rises at once, and falls by
-- half of the difference.
local function learn_run_bytes(graph_id, bytes)
  local known = tonumber(redis.call('HGET', key('memory'), 'run:' .. graph_id))
  if known and bytes < known then bytes = (known + bytes) / 2 end
  redis.call('HSET', key('memory'), 'run:' .. graph_id, integer_text(bytes))
  if bytes > (known or 0) then redis.call('HDEL', key('memory'), 'room') end -- the reserved bytes have changed
end
