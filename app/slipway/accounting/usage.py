"""What a chain of runs has used of its ceilings: supersteps, node visits, retries, seconds and bytes.

What models and tools have used is counted apart from it (`metered_usage`), because it must never be lost with the
superstep in which it was used.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

TASK_ID_LENGTH: Final = 8
"""Characters of a task id that are stored and compared. Task ids are digests, so these few distinguish the tasks of one
node in two supersteps."""


@dataclass(slots=True)
class Usage:
    """What a chain of runs has used so far."""

    steps: int = 0
    retries: int = 0
    active_s: float = 0.0
    event_bytes: int = 0
    node_visits: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """By node. A node of a subgraph has the names of the nodes around it before its own: `research|search`."""
    superstep: dict[str, str] = field(default_factory=dict)
    """The first `TASK_ID_LENGTH` characters of the first task id of each node in the superstep that was counted last. A
    superstep that is executed again, after an answer or a crash, has the same task ids, and is not counted again. For
    nodes of subgraphs, which execute several supersteps within it: those of the task that was counted last."""
    warned: list[str] = field(default_factory=list)
    """The ceilings, without `max_`, of which the chain was warned and whose use is not part of this record."""

    @classmethod
    def from_public(cls, stored: Mapping[str, Any]) -> Usage:
        """The usage of a run: the object that `public` returned, of which members may be missing."""
        if not stored:
            return cls()
        return cls(
            steps=stored.get("steps", 0),
            retries=stored.get("retries", 0),
            active_s=stored.get("active_s", 0.0),
            event_bytes=stored.get("event_bytes", 0),
            node_visits=defaultdict(int, stored.get("node_visits", {})),
            superstep={node: task[:TASK_ID_LENGTH] for node, task in stored.get("superstep", {}).items()},
            warned=list(stored.get("warned", ())),
        )

    def public(self) -> dict[str, Any]:
        """The usage as clients receive it."""
        return dict(zip(_USAGE_MEMBERS, self._values(), strict=False))

    def _values(self) -> list[Any]:
        active_s = round(self.active_s, 3)
        values = [self.steps, self.retries, active_s, self.event_bytes, dict(self.node_visits), self.superstep]
        if self.warned:
            values.append(self.warned)
        return values

    def stored(self) -> str:
        """The usage as the record of a run stores it: the values of `public` as JSON."""
        values = self._values()
        try:
            return orjson.dumps(values).decode()
        except orjson.JSONEncodeError:  # the name of a node is no valid UTF-8
            return json.dumps(values, ensure_ascii=False).encode("utf-8", "replace").decode()

    def with_counts_of(self, earlier: Usage) -> Usage:
        """This usage with the supersteps and visits of `earlier`: the usage if all work since `earlier` is lost."""
        return replace(self, steps=earlier.steps, node_visits=earlier.node_visits, superstep=earlier.superstep)


_USAGE_MEMBERS: Final = ("steps", "retries", "active_s", "event_bytes", "node_visits", "superstep", "warned")
"""The members of a usage in the order in which they are stored."""


def public_usage(stored: bytes) -> dict[str, Any]:
    """The object that clients receive, from the field of the record: a list of the values, without members at the end
    that have no value yet. Earlier releases stored the object."""
    values = orjson.loads(stored)
    return values if isinstance(values, dict) else dict(zip(_USAGE_MEMBERS, values, strict=False))
