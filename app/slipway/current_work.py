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


WEBSOCKET: Final = "WEBSOCKET"
"""The field `method` of WebSockets."""


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


def request_belongs_to(trace_id: str) -> None:
    """From now on, lines of the current HTTP request have this trace: that of a run which the request has created.

    A WebSocket may create many runs, so its lines do not. Nor do those of a graph whose code creates a run."""
    work = CURRENT_WORK.get()
    if work.get("method", WEBSOCKET) != WEBSOCKET and work.get("trace") != trace_id:
        CURRENT_WORK.set({**work, "trace": trace_id})
