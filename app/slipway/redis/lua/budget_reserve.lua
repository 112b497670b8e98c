--! needs: budgets clock keys
--! repeatable: yes
--! shard: limits
-- Counts a call, or a new run, in all of its budgets, if all of them have room. Before that, it corrects budgets for
-- calls that have ended.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `reserver` (whose revisions these are), `revision`, `oldest` (the lowest
--   revision that may be sent again), `keep_ms` (how long revisions are remembered), `entries` and `ended`
--   (`lib/budgets.lua`), `run` (a map: `id`, `graph_id`, and `owner` as JSON or nil).
-- Reply: {'ok' or 'no room', '1' if a budget has a new state else '', position of the entry without room, what its
--   field has}. Without room nothing is counted, not even `ended`.
-- Atomic: All budgets, and the events of their new states.
-- Repeatable: Yes: each revision of a reserver is counted once, in whatever order they arrive.

local args = cmsgpack.unpack(ARGV[2])
local reserver, remembered = key('budget_reserver', args.reserver), {args.revision}
for text in string.gmatch(redis.call('GET', reserver) or '', '%d+') do
  local other = tonumber(text)
  if other == args.revision then return {'ok', ''} end
  if other >= args.oldest then remembered[#remembered + 1] = text end
end
add_to_budgets(args.ended)
local position, used = reserve_in_budgets(args.entries)
if position then
  subtract_from_budgets(args.ended)
else
  redis.call('SET', reserver, table.concat(remembered, ','), 'PX', integer_text(args.keep_ms))
end
local changed = keep_budget_events(args.entries, position, args.run) and '1' or ''
if position then return {'no room', changed, position, used} end
return {'ok', changed}
