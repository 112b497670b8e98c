"""The MCP servers of a project in one process: their connections, and the calls of their tools.

A connection is opened by the first call and stays open. Before a call, the list of the server is compared with the
pinned one if that was not done in the last seconds, if the server says that it has changed, or if people have approved
the call. If it differs, all tools of the server are switched off, so that runs pause before them until an operator has
read the new list.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog
from langchain_core.tools import ToolException

from slipway.errors import SecretMissing, ToolRefused
from slipway.graphs.mcp_section import McpSection
from slipway.mcp_servers.connection import McpConnection
from slipway.mcp_servers.current_servers import provide_servers
from slipway.mcp_servers.server_tools import ServerTools
from slipway.switches.attempt_switches import CURRENT_SWITCHES
from slipway.switches.record import Kind, Target
from slipway.switches.store import SwitchStore
from slipway.tool_gateway.current_call import CURRENT_CALL
from slipway.tool_gateway.secrets import secret_value

if TYPE_CHECKING:
    import mcp

log = structlog.get_logger(__name__)

CHECK_EVERY_S: Final = 5.0
"""Seconds after which the list of a server is compared again before a call."""

IDEMPOTENCY_KEY: Final = "slipway/idempotency-key"
"""The member of `_meta` with the idempotency key of a call."""

ACTOR: Final = "slipway"


class McpServer:
    """One server: its connection, which is opened when it is needed."""

    def __init__(self, tools: ServerTools, switches: SwitchStore) -> None:
        self._tools, self._switches = tools, switches
        self._connection: McpConnection | None = None
        self._opening = asyncio.Lock()
        self._checked_at = float("-inf")

    async def call(self, tool: str, args: Mapping[str, Any]) -> Any:
        """What the tool returns: its structured content, else its text. Raises `ToolException` for an error of the
        tool or of the server, and `ConnectionError`. Pauses the run if the list of the server has changed."""
        from mcp import MCPError

        current = CURRENT_CALL.get()
        connection = await self._checked(always=current is not None and current.tool.approval.kind != "never")
        meta = {} if current is None else {IDEMPOTENCY_KEY: current.key}
        try:
            result = await connection.call(tool, args, meta)
        except MCPError as error:
            raise ToolException(f"MCP server {self._tools.name!r}: {error.message}") from error
        return _content_of(result)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _checked(self, *, always: bool) -> McpConnection:
        """The open connection. The list was compared, perhaps some seconds ago unless `always`."""
        async with self._opening:
            connection = await self._open()
            if always or connection.tools_changed or time.monotonic() - self._checked_at > CHECK_EVERY_S:
                connection.tools_changed = False
                difference = self._tools.pinned.difference_to(await connection.list_tools())
                if difference:
                    self._checked_at = float("-inf")
                    await self._pause(difference)
                self._checked_at = time.monotonic()
            return connection

    async def _open(self) -> McpConnection:
        if self._connection is None or not self._connection.is_open:
            tools = self._tools
            self._checked_at = float("-inf")
            connection = McpConnection(tools.name, tools.section, tools.folder, secrets_of(tools.name, tools.section))
            await connection.open()
            self._connection = connection
        return self._connection

    async def _pause(self, difference: str) -> None:
        """Switches the tools of the server off. Raises `StoppedAtSwitch`, so that the run pauses."""
        server = self._tools.name
        reason = (
            f"the list of tools of the MCP server {server!r} is not the pinned one ({difference}): read the new list "
            f"with `slipway tools pin {server}`, deploy its hash, then enable the tool"
        )
        log.error("mcp.tools_changed", server=server, difference=difference)
        switches = [Target(Kind.TOOL, name) for name in self._tools.names]
        for target in switches:
            await self._switches.switch_off(target, by=ACTOR, reason=reason)
        off = await self._switches.all()
        current, attempt = CURRENT_CALL.get(), CURRENT_SWITCHES.get()
        switch = None if current is None else off.tool(current.tool.name)
        if switch is None or attempt is None:
            raise ToolRefused(reason, "" if current is None else current.tool.name)
        attempt.stop_at(switch)


def secrets_of(server: str, section: McpSection) -> dict[str, str]:
    """The values of the secrets of a server. Raises `SecretMissing`."""
    found = {name: secret_value(name) or "" for name in section.secrets}
    for name, value in found.items():
        if not value:
            raise SecretMissing(f"the secret {name!r} of the MCP server {server!r} is not set: set {name}", server)
    return found


def _content_of(result: mcp.types.CallToolResult) -> Any:
    texts = [block.text for block in result.content if block.type == "text"]
    if result.is_error:
        raise ToolException("\n".join(texts) or "the tool failed without a message")
    if result.structured_content is not None:
        return result.structured_content
    if len(texts) == len(result.content):
        return "\n".join(texts)
    return [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in result.content]


@asynccontextmanager
async def open_servers(tools: Mapping[str, ServerTools], switches: SwitchStore) -> AsyncIterator[None]:
    """Inside the block, the tools of these servers can be called. Connections are closed on exit."""
    servers = {name: McpServer(each, switches) for name, each in tools.items()}
    with provide_servers(servers):
        try:
            yield
        finally:
            await asyncio.gather(*(each.close() for each in servers.values()))
