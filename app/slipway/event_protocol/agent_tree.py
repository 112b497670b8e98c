"""The status of a run and of its subgraphs as a tree: `agent.getTree` of the event protocol."""

from __future__ import annotations

from typing import Any, Final

from slipway.event_protocol.protocol_event import Namespace, ProtocolEvent

_ENDED: Final = frozenset({"completed", "failed", "interrupted"})


class AgentTree:
    """Receives the events of one run in order. Before the first event, the tree has only its root."""

    def __init__(self, graph_name: str, status: str) -> None:
        self._root = {"namespace": [], "status": status, "graph_name": graph_name}
        self._nodes: dict[Namespace, dict[str, Any]] = {(): self._root}

    def apply(self, event: ProtocolEvent) -> None:
        """Adds an event. The first event of a parent must come before those of its children."""
        if event.method != "lifecycle":
            return
        node = self._nodes.get(event.namespace)
        if node is None:
            parent = self._nodes[event.namespace[:-1]]
            node = self._nodes[event.namespace] = {"namespace": list(event.namespace)}
            parent.setdefault("children", []).append(node)
        elif event.data["event"] != "running" and node["status"] in _ENDED:
            return  # a run can end with two events, of which the first has the status
        node |= {"status": event.data["event"], "graph_name": event.data["graph_name"]}

    @property
    def root(self) -> dict[str, Any]:
        return self._root
