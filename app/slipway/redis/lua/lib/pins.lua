-- The version of its graph to which a thread is pinned.

-- A field of a record whose value may be empty: then false.
local function given(text) return text and text ~= '' and text end

-- The pin of a thread as `graph_id` sees it: version and schema, each false if it is not known. `pinned_graph` is the
-- graph that was pinned. A thread that runs of several graphs share is pinned by the one that was claimed last.
local function pin_for(graph_id, pinned_graph, version, schema)
  if pinned_graph and pinned_graph ~= graph_id then return false, false end
  return given(version), given(schema)
end

-- Whether the thread of this key is pinned to this version of a graph; '' is for none.
local function is_pinned(thread, graph_id, version)
  return (pin_for(graph_id, unpack(redis.call('HMGET', thread, 'version_graph', 'version'))) or '') == version
end
