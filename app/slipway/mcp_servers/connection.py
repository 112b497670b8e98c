"""One connection to an MCP server, over stdio or streamable HTTP.

The client of the package `mcp` must be opened and closed by one task, so each connection has a task of its own. Calls
come from any task of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from slipway.errors import ConfigError
from slipway.exception_text import class_name
from slipway.graphs.mcp_section import McpSection
from slipway.mcp_servers.pinned_list import PinnedList, PinnedTool

if TYPE_CHECKING:
    import mcp

OPENS_WITHIN_S: Final = 20.0
"""Seconds that a server has to start and to accept the connection."""

_MOST_PAGES: Final = 100


class McpConnection:
    """An open connection. `tools_changed` is set when the server says that its list has changed."""

    def __init__(self, name: str, section: McpSection, folder: Path, secrets: Mapping[str, str]) -> None:
        self._name, self._section, self._folder, self._secrets = name, section, folder, dict(secrets)
        self._client: mcp.Client | None = None
        self._opened, self._close = asyncio.Event(), asyncio.Event()
        self._problem: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self.tools_changed = False

    @property
    def is_open(self) -> bool:
        """Whether calls can be made. A connection that broke is not open any more, although it takes a moment to end
        its process."""
        holds = self._task is not None and not self._task.done() and self._client is not None
        return holds and not self._close.is_set()

    async def open(self) -> None:
        """Raises `ConnectionError` if the server does not accept the connection in time."""
        self._task = asyncio.create_task(self._hold(), name=f"MCP server {self._name}")
        try:
            async with asyncio.timeout(OPENS_WITHIN_S):
                await self._opened.wait()
        except TimeoutError:
            await self.close()
            raise ConnectionError(f"the MCP server {self._name!r} did not reply within {OPENS_WITHIN_S:g} s") from None
        except BaseException:
            self._task.cancel()
            raise
        if self._problem is not None:
            raise ConnectionError(
                f"the MCP server {self._name!r} cannot be reached: {class_name(_root(self._problem))}"
            ) from self._problem

    async def close(self) -> None:
        """Ends the connection, and the process of a server over stdio."""
        self._close.set()
        if self._task is not None:
            _, pending = await asyncio.wait([self._task], timeout=5)
            for task in pending:
                task.cancel()
            with suppress(BaseException):
                await self._task

    async def list_tools(self) -> PinnedList:
        """What the server offers now. Raises `ConnectionError`."""
        found: list[PinnedTool] = []
        cursor: str | None = None
        with self._broken_as_connection_error():
            for _ in range(_MOST_PAGES):
                page = await self._connected.list_tools(cursor=cursor, cache_mode="bypass")
                found += [
                    PinnedTool(each.name, each.description or "", each.input_schema, each.output_schema)
                    for each in page.tools
                ]
                cursor = page.next_cursor
                if cursor is None:
                    return PinnedList.of(found)
        raise ConnectionError(f"the MCP server {self._name!r} lists its tools without an end")

    async def call(self, tool: str, args: Mapping[str, Any], meta: Mapping[str, Any]) -> mcp.types.CallToolResult:
        """Calls a tool. Raises `mcp.MCPError` for an error of the server, and `ConnectionError` for a broken
        connection: then it is unknown whether the tool was executed."""
        with self._broken_as_connection_error():
            sent: Any = dict(meta)  # a `TypedDict` that permits other members
            return await self._connected.call_tool(tool, dict(args), meta=sent)

    @property
    def _connected(self) -> mcp.Client:
        if self._client is None or not self.is_open:
            raise ConnectionError(f"the connection to the MCP server {self._name!r} is closed")
        return self._client

    async def _hold(self) -> None:
        """Opens the client, and closes it when `close` is called."""
        try:
            async with _client(self._section, self._folder, self._secrets, self._on_message) as client:
                self._client = client
                self._opened.set()
                await self._close.wait()
        except Exception as error:
            self._problem = error
        finally:
            self._client = None
            self._opened.set()

    async def _on_message(self, message: object) -> None:
        """A server may say that its list has changed."""
        if getattr(message, "method", None) == "notifications/tools/list_changed":
            self.tools_changed = True

    @contextmanager
    def _broken_as_connection_error(self) -> Iterator[None]:
        import mcp_types
        from mcp import MCPError

        try:
            yield
        except MCPError as error:
            if error.code != mcp_types.CONNECTION_CLOSED:
                raise
            self._close.set()
            raise ConnectionError(f"the connection to the MCP server {self._name!r} broke") from error
        except ConnectionError:
            raise
        except Exception as error:
            self._close.set()
            raise ConnectionError(
                f"the connection to the MCP server {self._name!r} failed: {class_name(_root(error))}"
            ) from error


@asynccontextmanager
async def _client(
    section: McpSection, folder: Path, secrets: Mapping[str, str], on_message: Callable[[object], Awaitable[None]]
) -> AsyncIterator[mcp.Client]:
    require_mcp()
    import httpx2
    import mcp
    from mcp.client.stdio import StdioServerParameters
    from mcp.client.streamable_http import streamable_http_client

    headers, env = section.with_secrets(dict(secrets))
    handler: Any = on_message
    if section.command is not None:
        command, *args = section.command
        server = StdioServerParameters(command=command, args=args, env=env, cwd=folder)
        async with mcp.Client(server, message_handler=handler) as client:
            yield client
        return
    assert section.url is not None
    # a reply may take as long as the call of the tool: the gateway limits that
    timeout = httpx2.Timeout(OPENS_WITHIN_S, read=None)
    async with httpx2.AsyncClient(headers=headers, timeout=timeout) as http_client:
        transport = streamable_http_client(section.url, http_client=http_client)
        async with mcp.Client(transport, message_handler=handler) as client:
            yield client


def require_mcp() -> None:
    """Raises `ConfigError` if the extra `mcp` is not installed."""
    try:
        import mcp  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "slipway.mcp in langgraph.json needs the extra `mcp`, which is not installed: pip install 'slipway[mcp]'"
        ) from error


def _root(error: BaseException) -> BaseException:
    """The first error in groups of them, which the tasks of the client raise."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
