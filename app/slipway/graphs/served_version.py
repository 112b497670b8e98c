"""One version of a graph that this process can execute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Moves = Literal["pinned", "at-next-run", "at-resume"]
"""When a thread may move to another version: never, when a run starts on it while no other is open and nothing waits
for an answer, or also in the middle of a run that was interrupted."""


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """A version of a graph as this process has loaded it. Within a graph, a name stands for one release of its code."""

    graph_id: str
    name: str
    """As langgraph.json declares it; else made from the release and the fingerprint."""
    schema: str
    """The first 16 hex digits of the fingerprint. Empty if the graph is known only when a run opens it, because its
    factory needs the config of a run."""
    build: str
    """The id of the record that says what a run of this version was built from (`graph_versions/builds.py`)."""
    declared: bool
    """Whether langgraph.json names it. The threads of an undeclared version are continued by any with its schema."""

    def __str__(self) -> str:
        return f"{self.graph_id}@{self.name}"
