"""How many of the last checkpoints of a graph's threads are kept."""

from __future__ import annotations

from slipway.errors import ConfigError
from slipway.graphs.interface import Graphs
from slipway.settings import Settings


class KeptByGraph:
    """Reads `keep_checkpoints` of the graphs in langgraph.json and of the settings. Raises `ConfigError` if a graph has
    one that the checkpointer cannot apply."""

    def __init__(self, settings: Settings, graphs: Graphs) -> None:
        self._settings, self._graphs = settings, graphs
        for name in graphs.names():
            if isinstance(graphs.spec(name).keep_checkpoints, int) and settings.checkpointer != "core":
                raise ConfigError(
                    f"langgraph.json: slipway.graphs.{name}.keep_checkpoints needs SLIPWAY_CHECKPOINTER=core: "
                    f"{settings.checkpointer} cannot delete single checkpoints; leave it out, or migrate the threads"
                )

    def keep_of(self, graph_id: str) -> int | None:
        """None: all are kept, also for a graph that langgraph.json does not name any more."""
        if graph_id not in self._graphs.names():
            return None
        own = self._graphs.spec(graph_id).keep_checkpoints
        return self._settings.keep_checkpoints if own is None else None if own == "all" else own
