"""The structure of a graph: everything in it that stored threads, clients or operators depend on, as plain data.

It can be stored as JSON and compared without the graph's code. `structure_of` reads it from a compiled graph
(`read_structure.py`), `differences` compares two (`structure_diff.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class ChannelStructure:
    """One state channel."""

    kind: str
    """The class of the channel, such as `LastValue`."""
    type: str
    """Its type as text (`fingerprint.describe`), `?` if it cannot be described."""
    required: bool = False
    """Whether the state class rejects a state without it."""
    reducer: str | None = None
    """The name of the function that combines writes."""


@dataclass(frozen=True, slots=True)
class NodeStructure:
    """One node."""

    triggers: tuple[str, ...]
    """The channels that start it, sorted."""
    pauses: tuple[str, ...] = ()
    """The calls of `interrupt()` and of tasks, `interrupt` or `task NAME`, in the order in which its code has them.
    LangGraph matches stored answers and results with them by their order."""
    retries: tuple[str, ...] = ()
    """Its retry policies as text."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """The versions of the prompts that it declares, by name (`slipway.nodes`)."""
    models: tuple[str, ...] = ()
    """The models that it declares."""
    subgraph: GraphStructure | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """What follows a node."""

    start: str
    """The node; for a join its nodes, sorted and joined with `+`."""
    end: str
    """`?` if a branch declares no targets."""
    kind: Literal["edge", "join", "branch"]
    label: str = ""
    """What the path function of a branch returns for this target."""


@dataclass(frozen=True, slots=True)
class GraphStructure:
    """A graph with all its subgraphs."""

    api: Literal["graph", "functional"]
    """`functional` for `@entrypoint`."""
    channels: Mapping[str, ChannelStructure]
    nodes: Mapping[str, NodeStructure]
    edges: tuple[Edge, ...]
    """Sorted."""
    input: str = ""
    """The input, output and context schemas as text."""
    output: str = ""
    context: str = ""
    breakpoints: tuple[str, ...] = ()
    """`before NODE` and `after NODE`, sorted."""
    behaviour: str = ""
    """What the project declares for changes that no fingerprint can see. Only the outermost graph has it."""
