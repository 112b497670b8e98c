"""How a run and the graphs inside it stand, as a tree: `agent.getTree` of the event protocol."""

from __future__ import annotations

from typing import Any, Final

from slipway.event_protocol.run_translator import Namespace, ProtocolEvent

_OVER: Final = frozenset({"completed", "failed", "interrupted"})


class AgentTree:
    """Give it the events of one run in order. Without any, there is the root alone, as it was given."""

    def __init__(self, graph_name: str, status: str) -> None:
        self._root = {"namespace": [], "status": status, "graph_name": graph_name}
        self._nodes: dict[Namespace, dict[str, Any]] = {(): self._root}

    def take(self, event: ProtocolEvent) -> None:
        """What the next event changes. A parent is told before its children."""
        if event.method != "lifecycle":
            return
        node = self._nodes.get(event.namespace)
        if node is None:
            parent = self._nodes[event.namespace[:-1]]
            node = self._nodes[event.namespace] = {"namespace": list(event.namespace)}
            parent.setdefault("children", []).append(node)
        elif event.data["event"] != "running" and node["status"] in _OVER:
            return  # some ends are told in two words, of which the first says it
        node |= {"status": event.data["event"], "graph_name": event.data["graph_name"]}

    @property
    def root(self) -> dict[str, Any]:
        """The tree so far."""
        return self._root
