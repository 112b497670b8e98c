-- Pins of threads, for scripts that know a thread by its key.

-- Whether a thread is pinned to this version of a graph; '' is for none. A thread that runs of several graphs share is
-- pinned by the one that was claimed last, and has no pin for the others.
local function is_pinned(thread, graph_id, version)
  local pinned_graph, pinned = unpack(redis.call('HMGET', thread, 'version_graph', 'version'))
  if pinned_graph and pinned_graph ~= graph_id then pinned = nil end
  return (pinned or '') == version
end
