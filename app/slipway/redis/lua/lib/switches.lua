--! needs: keys
--! rare: switched_off
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
