--! needs: keys webhook_events
-- The event log of a run: a stream, and a notification for each append.

-- The bytes of an event in SSE format, without its id.
local function sse_frame(name, data)
  return 'event: ' .. name .. '\r\ndata: ' .. data .. '\r\n'
end

-- A text as the binary type of MessagePack, for which Python expects no UTF-8.
local function binary(text)
  return struct.pack('>BI4', 198, #text) .. text
end

-- An entry with more bytes is not sent with a notification: each subscriber would receive it at once.
local MOST_NOTIFIED_BYTES = 65536

-- Whether a frame or a result is a text: compressed ones begin with a byte below 32, encrypted ones with 193.
local function is_text_form(stored)
  local first = string.byte(stored)
  return not first or first >= 32 and first < 128
end

-- The notification: the id before the entries, and the entries with their ids. Compressed and encrypted frames and
-- results are sent as they are stored. It begins after the last large entry: followers notice that
-- entries are missing, and read the log.
local function packed_notification(previous_id, entries)
  local is_text, last_large = true, 0
  for i, entry in ipairs(entries) do
    if #entry[2] + #entry[3] > MOST_NOTIFIED_BYTES then last_large = i end
    is_text = is_text and is_text_form(entry[2]) and is_text_form(entry[3])
  end
  if last_large > 0 then
    previous_id = entries[last_large][4]
    local sent = {}
    for i = last_large + 1, #entries do sent[#sent + 1] = entries[i] end
    entries = sent
  end
  if is_text then return cmsgpack.pack({previous_id, entries}) end
  local parts = {}
  for i, entry in ipairs(entries) do
    parts[i] = '\148' .. cmsgpack.pack(entry[1]) .. binary(entry[2]) .. binary(entry[3]) .. cmsgpack.pack(entry[4])
  end
  return '\146' .. cmsgpack.pack(previous_id) .. struct.pack('>BI4', 221, #parts) .. table.concat(parts)
end

-- Appends to the log of a run, and returns the id of the last entry, which the caller stores in the run's field
-- `last_event`. `previous_id` is what that field holds; false for an empty log. Each entry is {name, frame, result};
-- only end events have a result, the others have ''. A name may be followed by a line feed and a mark: the mark is
-- stored beside the event, and a later attempt does not append an event whose mark is in the log. That of a warning
-- creates the deliveries of `ceiling.warning`. The notification
-- carries the entries with their ids and the id before them, so that a follower which has read up to that id needs no
-- read.
local function append_to_log(run_id, entries, previous_id)
  if #entries == 0 then return previous_id end
  local log, last_id = key('events', run_id), nil
  for _, entry in ipairs(entries) do
    local line_feed = string.find(entry[1], '\n', 1, true)
    if line_feed then
      local mark = string.sub(entry[1], line_feed + 1)
      entry[1] = string.sub(entry[1], 1, line_feed - 1)
      last_id = redis.call('XADD', log, '*', 'n', entry[1], 'f', entry[2], 'm', mark)
      if string.sub(mark, 1, 8) == 'ceiling:' then emit_ceiling(run_id, mark) end
    elseif entry[3] ~= '' then
      last_id = redis.call('XADD', log, '*', 'n', entry[1], 'f', entry[2], 'r', entry[3])
    else
      last_id = redis.call('XADD', log, '*', 'n', entry[1], 'f', entry[2])
    end
    entry[4] = last_id
  end
  redis.call('PUBLISH', key('run_notifications', run_id), packed_notification(previous_id or '0-0', entries))
  return last_id
end

-- Replaces the log by a copy. The stream of a log keeps space for further entries, up to 4 KiB; a copy has none.
local function compact_log(run_id)
  local log, copy = key('events', run_id), key('events_copy', run_id)
  redis.call('COPY', log, copy, 'REPLACE')
  redis.call('RENAME', copy, log)
end

-- Appends events for a script that has not read the run's field `last_event` and does not store it itself.
local function append_events(run_id, entries)
  local run = key('run', run_id)
  local last_id = append_to_log(run_id, entries, redis.call('HGET', run, 'last_event'))
  if last_id then redis.call('HSET', run, 'last_event', last_id) end
end

-- The events in ARGV from index `first` on: name and frame of each.
local function event_arguments(first, count)
  local entries = {}
  for i = 1, count do entries[i] = {ARGV[first + 2 * i - 2], ARGV[first + 2 * i - 1], ''} end
  return entries
end

local function metadata_event(run_id, attempt)
  return {'metadata', sse_frame('metadata', '{"run_id":"' .. run_id .. '","attempt":' .. attempt .. '}'), ''}
end

-- `phase` is sent only if the run waits for approval: for the protocol such a run succeeded.
local function end_event(run_id, status, result, phase)
  local phase_member = phase == 'waiting_for_approval' and ',"phase":"' .. phase .. '"' or ''
  local data = '{"run_id":"' .. run_id .. '","status":"' .. status .. '"' .. phase_member .. '}'
  return {'end', sse_frame('end', data), result or ''}
end
