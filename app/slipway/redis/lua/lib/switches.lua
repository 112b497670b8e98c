--! needs: keys
--! rare: set_switch_off set_switch_on switched_off
-- Switches that are off: a hash, by key. See `switches/record.py`.

-- The key of a switch. `kind` is 'node', 'tool', 'graph' or 'all'; `graph` is the graph of a node, else nil; `name` is
-- that of the node, the tool or the graph.
local function switch_key(kind, graph, name)
  if kind == 'all' then return kind end
  return kind .. ':' .. (graph and graph .. ':' or '') .. name
end

-- The switch of a node, a tool, a graph or everything, as stored, if it is off; else false.
local function switched_off(kind, graph, name)
  return redis.call('HGET', key('switches'), switch_key(kind, graph, name))
end

-- Stores in this shard that a switch is off. A resumption that is in progress ends.
local function set_switch_off(switch, stored)
  redis.call('HSET', key('switches'), switch, stored)
  redis.call('HDEL', key('resuming_switches'), switch)
end

-- Stores in this shard that a switch is on, and that its runs are to be resumed. Returns false if it was on.
local function set_switch_on(switch, by)
  -- the first write must not need memory: a full Redis rejects a script if its first write does
  if redis.call('HDEL', key('switches'), switch) == 0 then return false end
  if redis.call('EXISTS', key('switch_runs', switch)) == 1 then
    redis.call('HSET', key('resuming_switches'), switch, by)
  end
  return true
end
