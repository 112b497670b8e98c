--! needs: clock webhook_events
--! repeatable: yes
--! shard: thread
-- Creates the deliveries of events of budgets, in the shard of the runs that have changed their states.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `events`, each a map as `lib/budgets.lua` keeps it.
-- Reply: 1 if the endpoints are told, which may be none of these events; 0 if no endpoint is subscribed to anything.
-- Atomic: The deliveries of all events.
-- Repeatable: Yes: the deliveries have the same ids each time, and those that exist do not change.

local function tell(event)
  local scope, period, first_day, name = string.match(event.budget_id, '^([^|]*)|([^|]*)|([^|]*)|(.*)$')
  local counted = event.counted
  -- what all users together use of a graph is nobody's but the operators'
  local subject = {id = event.budget_id .. ':' .. counted, once = integer_text(event.limit),
    graph_id = scope == 'graph' and name or event.graph_id, owner = scope == 'owner' and event.owner or false,
    run_id = event.run_id}
  local unit = counted == 'cost_usd' and 1e9 or 1
  emit('budget.' .. event.state, subject, {'scope', scope, 'name', name, 'period', period, 'first_day', first_day,
    'resets_at', iso(event.ends_ms * 1000), 'counted', counted, 'used', {string.format('%.15g', event.used / unit)},
    'limit', {string.format('%.15g', event.limit / unit)}, 'run_id', event.run_id, 'graph_id', event.graph_id, 'link',
    '/ops/budgets'})
end

if not is_anything_subscribed() then return 0 end
for _, event in ipairs(cmsgpack.unpack(ARGV[2]).events) do tell(event) end
return 1
