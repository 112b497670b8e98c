"""Migrations, in the project's code: functions that carry a stored thread from one version of its graph to another.

The file that `slipway.graphs.NAME.migrations` of langgraph.json names holds them:

    from slipway.migrations import StoredState, migration

    @migration(from_version="1", to_version="2")
    def split_name(stored: StoredState) -> StoredState:
        first, _, last = stored.values.pop("name", "").partition(" ")
        stored.values |= {"first_name": first, "last_name": last}
        stored.rename_node("review", "human_review")
        return stored

A migration reads and changes a copy of the newest checkpoint of a thread. What it returns must fit the graph of its
`to_version`; else nothing changes. It is called once for each thread, but again after a crash, so it must have no
effect outside of what it returns. It may be a coroutine function. A plain function runs in a thread.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

__all__ = ["PendingSend", "StoredState", "migration"]


@dataclass(slots=True)
class PendingSend:
    """A node that `Send` will start, with its input. Its place in the list of sends is part of the identity of its
    task."""

    node: str
    input: Any


@dataclass(slots=True)
class StoredState:
    """What the newest checkpoint of a thread holds, or that of one of its subgraphs."""

    values: dict[str, Any]
    """The state, by channel: Python objects as nodes write them. An object of a class that the new code does not have
    is a dict or a list. A channel that is missing here loses its value."""
    nodes: dict[str, str] = field(default_factory=dict)
    """Nodes that have another name in the new version: old name to new name. `rename_node` adds to it."""
    channels: dict[str, str] = field(default_factory=dict)
    """Channels that have another name: old name to new name. `rename_channel` adds to it."""
    pending: tuple[str, ...] = ()
    """The nodes that the checkpoint is about to start or has started, under their old names."""
    input: Any = None
    """The input of a run of which no node has started yet. None if there is none."""
    sends: list[PendingSend] | None = None
    """The nodes that `Send` will start, in order. A migration may change names and inputs, not the length. None in a
    state that the migration has built itself: then they stay as they are."""

    def rename_node(self, old: str, new: str) -> None:
        """A node has another name in the new version: what it has asked, what it was answered and what it has finished
        belongs to the new name. The node need not be pending. Raises `ValueError` for two new names of one node."""
        _rename("node", self.nodes, old, new)

    def rename_channel(self, old: str, new: str) -> None:
        """Moves the value of a channel to another name, and also what nodes of the current superstep have written to
        it. Raises `ValueError` for two new names of one channel."""
        _rename("channel", self.channels, old, new)
        if old in self.values:
            self.values[new] = self.values.pop(old)


Migrate = Callable[[StoredState], StoredState | Awaitable[StoredState]]
F = TypeVar("F", bound=Callable[[StoredState], Any])

_ATTRIBUTE: Final = "__slipway_migration__"


@dataclass(frozen=True, slots=True)
class Migration:
    """A registered function."""

    from_version: str
    to_version: str
    subgraph: str
    """The nodes that lead to the subgraph whose state it migrates, separated by `|`. Empty for the graph itself."""
    function: Migrate
    name: str
    file: str
    line: int


def migration(*, from_version: str, to_version: str, for_subgraph: str = "") -> Callable[[F], F]:
    """Registers a function as the migration from one version of the graph to another. Chains are found by Slipway: a
    thread of version 1 reaches version 3 by the migrations 1 to 2 and 2 to 3.

    `for_subgraph`: the migration is called for the state of the subgraph in this node, such as `review`, or
    `review|check` for the subgraph in the node `check` of that subgraph, in place of the state of the graph itself.
    """

    def register(function: F) -> F:
        if not callable(function):
            raise TypeError(f"@migration expects a function, found an object of type {type(function).__name__}")
        code = getattr(inspect.unwrap(function), "__code__", None)
        registered = Migration(
            from_version,
            to_version,
            for_subgraph,
            function,
            name=getattr(function, "__name__", type(function).__name__),
            file=getattr(code, "co_filename", ""),
            line=getattr(code, "co_firstlineno", 0),
        )
        function.__dict__.setdefault(_ATTRIBUTE, []).append(registered)
        return function

    return register


def migrations_in(module: object) -> list[Migration]:
    """The migrations that the functions of a module are registered as, in the order of their lines."""
    functions = {id(each): each for each in vars(module).values() if callable(each) and hasattr(each, _ATTRIBUTE)}
    found = [each for function in functions.values() for each in getattr(function, _ATTRIBUTE)]
    return sorted(found, key=lambda each: (each.file, each.line))


def _rename(kind: str, names: dict[str, str], old: str, new: str) -> None:
    if names.setdefault(old, new) != new:
        raise ValueError(f"{kind} {old!r} is renamed twice: to {names[old]!r} and to {new!r}")
