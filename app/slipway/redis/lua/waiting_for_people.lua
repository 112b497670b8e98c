--! needs: clock keys
--! repeatable: yes
--! shard: thread
-- Counts what waits for people: reviews that nobody has decided, and paused runs.
--
-- KEYS: none; the names are made from the prefix.
-- ARGV: the key prefix; a MessagePack map: `graphs` (the ids of the graphs whose reviews are counted).
-- Reply: {ms since the oldest undecided review was opened, runs that only an operator has paused, runs that are paused
--   before a switch, {undecided reviews, overdue ones, …} for each graph}.
-- Atomic: Changes nothing; all numbers are of one moment.
-- Repeatable: Yes: it only reads.

local args = cmsgpack.unpack(ARGV[2])
local oldest_us = now_us
for _, state in ipairs({'open', 'claimed'}) do
  local first = redis.call('ZRANGE', key('reviews_with', state), 0, 0, 'WITHSCORES')
  if first[2] then oldest_us = math.min(oldest_us, tonumber(first[2])) end
end
local at_switches = 0
for _, switches in ipairs({'switches', 'resuming_switches'}) do
  for _, switch in ipairs(redis.call('HKEYS', key(switches))) do
    at_switches = at_switches + redis.call('ZCARD', key('switch_runs', switch))
  end
end
local reviews = {}
for _, graph_id in ipairs(args.graphs) do
  local set = key('reviews_of_graph', graph_id)
  reviews[#reviews + 1] = redis.call('ZCARD', set)
  reviews[#reviews + 1] = redis.call('ZCOUNT', set, '-inf', integer_text(now_us))
end
return {
  integer_text((now_us - oldest_us) / 1000),
  math.max(redis.call('ZCARD', key('paused_runs')) - at_switches, 0),
  at_switches,
  reviews,
}
