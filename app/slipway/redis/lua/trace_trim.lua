--! needs: clock keys pending_counts traces
--! repeatable: yes
--! shard: thread
-- Deletes the spans of runs whose time has passed, and then those of the oldest runs until all spans have at most
-- `max_bytes`.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `retention_ms`, `max_bytes`, `limit` (the most runs of one call).
-- Reply: {number of runs deleted because of their age, because of the bytes, '1' if more are due}.
-- Atomic: The spans of each run, with what counts them.
-- Repeatable: Yes: what is deleted is not due again.

local args = cmsgpack.unpack(ARGV[2])
add_up_counts()
local bytes = tonumber(redis.call('GET', key('trace_bytes')) or 0)

-- Why the spans of a run that were first stored then are due, or nil.
local function is_due(stored_ms)
  if tonumber(stored_ms) <= now_ms - args.retention_ms then return 'expired' end
  if bytes > args.max_bytes then return 'displaced' end
end

local first = redis.call('ZRANGE', key('traces'), 0, 0, 'WITHSCORES')
if #first == 0 then
  redis.call('DEL', key('trace_bytes')) -- nothing is stored, whatever was counted
  return {0, 0, '0'}
end
if not is_due(first[2]) then return {0, 0, '0'} end
local oldest = redis.call('ZRANGE', key('traces'), 0, args.limit - 1, 'WITHSCORES')
local expired, displaced = 0, 0
for i = 1, #oldest, 2 do
  local why = is_due(oldest[i + 1])
  if not why then return {expired, displaced, '0'} end
  if why == 'expired' then expired = expired + 1 else displaced = displaced + 1 end
  bytes = bytes - delete_spans(oldest[i])
end
return {expired, displaced, #oldest == 2 * args.limit and '1' or '0'}
