--! needs: versions
--! rare: inline_execution
-- Inline runs: the web process that creates a run executes it.

-- The execution of a new run (`choose_execution`) by a process that serves `packed`, a MessagePack map; nil if it does
-- not serve the version of the run.
local function inline_execution(packed, graph_id, run, thread)
  return (choose_execution(cmsgpack.unpack(packed)[graph_id], graph_id, run, thread))
end
