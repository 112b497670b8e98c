"""Which node of which graph may call which tool: default deny, a `forbid` beats every `permit`, and each decision names
the rule that made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

NodePath = tuple[str, ...]
"""The nodes whose code makes a call, the one of the root graph first: `("agent", "tools")` is the node `tools` of the
subgraph that the node `agent` executes."""

ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class Grant:
    """One rule of `slipway.grants`."""

    index: int
    where: str
    """File and line."""
    effect: Literal["permit", "forbid"]
    graph: str
    nodes: tuple[NodePath, ...] | None
    """A rule for a node is for everything inside it, too. None means all nodes."""
    tools: frozenset[str]

    @property
    def name(self) -> str:
        return f"slipway.grants[{self.index}] ({self.where})"

    def is_about(self, graph: str, node: NodePath, tool: str) -> bool:
        if self.graph not in (ALL, graph) or not self.tools & {ALL, tool}:
            return False
        return self.nodes is None or any(node[: len(path)] == path for path in self.nodes)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a call is permitted, and by which rule. `rule` is empty if there is no policy, or none of its rules is
    about the call."""

    permitted: bool
    rule: str
    why: str


WITHOUT_POLICY: Final = Decision(True, "", "langgraph.json has no slipway.tools and no slipway.grants")


class Policy:
    """The grants of a project. Without a policy (None) every call is permitted."""

    def __init__(self, grants: Sequence[Grant] | None) -> None:
        self.grants = grants
        self.decide = lru_cache(maxsize=4096)(self._decide)

    def _decide(self, graph: str, node: NodePath, tool: str) -> Decision:
        """Whether code in this node may call the tool."""
        if self.grants is None:
            return WITHOUT_POLICY
        rules = [grant for grant in self.grants if grant.is_about(graph, node, tool)]
        forbids = next((rule for rule in rules if rule.effect == "forbid"), None)
        rule = forbids or next(iter(rules), None)
        who = f"node {'/'.join(node) or '?'!r} of graph {graph!r}"
        if rule is None:
            return Decision(False, "", f"no rule of slipway.grants permits tool {tool!r} to {who}")
        verb = "forbids" if forbids else "permits"
        return Decision(not forbids, rule.name, f"{rule.name} {verb} tool {tool!r} to {who}")
