--! needs: clock keys target_breaker
--! repeatable: yes
--! shard: targets
-- Stores that a call of a target has ended, and names the shards whose parked deliveries are next.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `target_id`; `call` (see `target_enter.lua`) with the members of
--   `note_outcome`, or no `call` to ask for shards only; `most` (calls of the target at once); `wanted` (for how many
--   calls shards are named at most, or nil); `empty` (shards that were named and had nothing parked: each a list of the
--   number and the time when it was named).
-- Reply: why the endpoint must be disabled, or an empty text; for each shard a list: its number, the time in µs when
--   it was named, and how many of its parked deliveries are next.
-- Atomic: The calls, the health of the target, and which shards wait.
-- Repeatable: Yes: an outcome is counted once, as long as the call has its lease.

-- Longer than the pauses of all tries of a delivery.
local HEALTH_TTL_S = 90 * 24 * 3600
local args = cmsgpack.unpack(ARGV[2])
local record, calls = key('target', args.target_id), key('target_calls', args.target_id)
local waiting = key('target_waiting', args.target_id)

local reason
if args.call and redis.call('ZREM', calls, args.call) == 1 then
  reason = note_outcome(record, args)
  if args.target == 'failed' then redis.call('EXPIRE', record, HEALTH_TTL_S) end
end
for _, each in ipairs(args.empty or {}) do
  if tonumber(redis.call('ZSCORE', waiting, each[1]) or 0) == each[2] then redis.call('ZREM', waiting, each[1]) end
end
local free = math.min(free_calls(record, calls, args.most), args.wanted or math.huge)
local shards = free > 0 and redis.call('ZRANGE', waiting, 0, free - 1) or {}
local named = {}
for i, shard in ipairs(shards) do
  local at_us = now_us + i
  redis.call('ZADD', waiting, at_us, shard)
  named[i] = {tonumber(shard), at_us, math.floor(free / #shards) + (i <= free % #shards and 1 or 0)}
end
return {reason or '', named}
