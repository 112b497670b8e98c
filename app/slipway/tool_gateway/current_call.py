"""The gateway of the current run, and the call of a tool that is executed now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Protocol

from slipway.tool_gateway.definition import ToolDefinition


class CurrentGateway(Protocol):
    """How code of a run reaches the gateway of its attempt: see `gateway.Gateway`. Targets and entrances, which import
    this module, have no type here."""

    loop: asyncio.AbstractEventLoop
    process: int
    """The id of the process."""

    async def call_function(
        self, target: Any, entrance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], act: Any
    ) -> Any: ...

    async def call_by_name(self, name: str, args: Mapping[str, Any], act: Any) -> Any: ...

    @property
    def has_policy(self) -> bool: ...

    def refuse(self, tool: str, node: str | None, why: str) -> NoReturn: ...

    def permits(self, name: str, node: tuple[str, ...]) -> bool: ...


@dataclass(frozen=True, slots=True)
class CurrentCall:
    """One call of a tool, while the tool is executed."""

    tool: ToolDefinition
    key: str
    """The idempotency key."""
    parent: CurrentCall | None
    """The call whose tool made this one."""


CURRENT_GATEWAY: Final[ContextVar[CurrentGateway | None]] = ContextVar("current_gateway", default=None)
"""None outside of a run, and in a thread that was started without the context of a node."""

CURRENT_CALL: Final[ContextVar[CurrentCall | None]] = ContextVar("current_call", default=None)

TOOL_CALL_ID: Final[ContextVar[tuple[str, str] | None]] = ContextVar("tool_call_id", default=None)
"""The name of the LangChain tool that is executed, and the id of the model's tool call."""
