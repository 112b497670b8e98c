--! needs: clock keys traces
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
local oldest = redis.call('ZRANGE', key('traces'), 0, args.limit - 1, 'WITHSCORES')
if #oldest == 0 then
  redis.call('DEL', key('trace_bytes')) -- nothing is stored, whatever was counted
  return {0, 0, '0'}
end
local expired, displaced = 0, 0
for i = 1, #oldest, 2 do
  if tonumber(oldest[i + 1]) <= now_ms - args.retention_ms then
    expired = expired + 1
  elseif tonumber(redis.call('GET', key('trace_bytes')) or 0) > args.max_bytes then
    displaced = displaced + 1
  else
    return {expired, displaced, '0'}
  end
  delete_spans(oldest[i])
end
return {expired, displaced, #oldest == 2 * args.limit and '1' or '0'}
