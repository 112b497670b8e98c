"""The MCP servers of this process, to which their tools send their calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol

from slipway.errors import ToolRefused


class CallsTools(Protocol):
    """A server: see `servers.McpServer`."""

    async def call(self, tool: str, args: Mapping[str, Any]) -> Any: ...


_OPEN: Final[list[Mapping[str, CallsTools]]] = []
"""Those of the services that are open in this process, by name, the newest last: one, except in tests."""


@contextmanager
def provide_servers(servers: Mapping[str, CallsTools]) -> Iterator[None]:
    """Inside the block, tools send their calls to these servers."""
    _OPEN.append(servers)
    try:
        yield
    finally:
        _OPEN.remove(servers)


def current_server(name: str) -> CallsTools:
    """Raises `ToolRefused` outside of a process that executes runs."""
    if not _OPEN or name not in _OPEN[-1]:
        raise ToolRefused(f"the MCP server {name!r} was called outside of a web process or worker of Slipway")
    return _OPEN[-1][name]
