"""The nodes to which a command goes (`goto`). LangGraph ignores a node that the graph does not have, and ends the run
as if it had succeeded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

_END: Final = "__end__"


def targets_of(command: Mapping[str, Any] | None) -> list[str]:
    """The nodes that a command of the protocol names, in its order. The end of the graph is none."""
    goto = (command or {}).get("goto")
    targets = goto if isinstance(goto, list) else [goto] if goto else []
    names = [target["node"] if isinstance(target, dict) else target for target in targets]
    return [name for name in names if name != _END]


def missing_targets(goto: Any, nodes: Collection[str]) -> list[str]:
    """The nodes of the member `goto` of LangGraph's `Command` that are not among the `nodes` of a graph, in their
    order."""
    targets = goto if isinstance(goto, (list, tuple)) else [goto]
    names = [target if isinstance(target, str) else target.node for target in targets]
    return [name for name in names if name != _END and name not in nodes]


def sentence_of(missing: Sequence[str], graph_id: str, version: str | None, nodes: Collection[str]) -> str:
    """That this version of the graph lacks the nodes `missing`, and which `nodes` it has; without a version, that the
    graph does."""
    where = f"{graph_id}@{version}" if version else f"graph {graph_id!r}"
    names = ", ".join(repr(name) for name in dict.fromkeys(missing))
    return f"{where} has no node {names}; it has {', '.join(own_nodes(nodes)) or 'none'}"


def own_nodes(nodes: Collection[str]) -> list[str]:
    """Without those that LangGraph adds, sorted."""
    return sorted(name for name in nodes if not name.startswith("__"))
