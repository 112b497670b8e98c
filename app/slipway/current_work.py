"""What the current asyncio task works for: a request, a run.

The fields are those that log lines have for it (`slipway.telemetry.table.line_fields`). A task that is created inherits
them, so they are also known in the tasks that a graph or an app creates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

CURRENT_WORK: Final[ContextVar[Mapping[str, str | int]]] = ContextVar("current_work", default=MappingProxyType({}))
"""Empty for tasks of the process itself, such as its duties."""


class _Nodes:
    """Knows the node that executes."""

    find: Callable[[], str | None] = staticmethod(lambda: None)


def find_node_with(find: Callable[[], str | None]) -> None:
    """From now on, `find` says to which node the current code belongs. None if it belongs to none."""
    _Nodes.find = staticmethod(find)


def current_work() -> Mapping[str, str | int]:
    """The fields of the current work, with its node."""
    work = CURRENT_WORK.get()
    node = _Nodes.find()
    return work if node is None else {**work, "node": node}
