"""Where calls of changed functions arrive: each goes to the gateway of the current run, or is refused."""

from __future__ import annotations

from collections.abc import Mapping
from os import getpid
from typing import Any, Final, Protocol

from slipway.errors import ToolRefused
from slipway.tool_gateway.current_call import CURRENT_GATEWAY, CurrentGateway
from slipway.tool_gateway.thread_calls import call_from_thread, call_on_loop

NOT_IN_A_RUN: Final = (
    "tool {tool!r} was called outside of a run, or in a thread that does not carry the context of a node. Tools are "
    "executed by Slipway only in a run: call it in a node, and start threads with contextvars.copy_context().run, "
    "asyncio.to_thread or langchain's run_in_executor"
)
IN_A_FORK: Final = (
    "tool {tool!r} was called in a process that the node has started: call it in the node, and give the process what "
    "it returns"
)
ON_THE_LOOP: Final = (
    "tool {tool!r} blocks, and was called on the event loop: use await tool.ainvoke(...) or await "
    "slipway.tools.call(...), or call it in a node that is a plain function"
)


class Named(Protocol):
    """A `ToolTarget`, which imports this module."""

    name: str


def gateway_for(tool: str) -> CurrentGateway:
    """The gateway of the current run. Raises `ToolRefused` if there is none, and in a process that was forked: there it
    would wait for an event loop that nobody runs."""
    gateway = CURRENT_GATEWAY.get()
    if gateway is None:
        raise ToolRefused(NOT_IN_A_RUN.format(tool=tool), tool)
    if gateway.process != getpid():
        raise ToolRefused(IN_A_FORK.format(tool=tool), tool)
    return gateway


async def enter(target: Named, entrance: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """A call of a coroutine function."""
    gateway = gateway_for(target.name)
    return await call_on_loop(
        target.name, gateway.loop, lambda: gateway.call_function(target, entrance, args, kwargs, None)
    )


def enter_from_thread(target: Named, entrance: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """A call of a plain function, which blocks its thread."""
    gateway = gateway_for(target.name)
    return call_from_thread(
        target.name,
        gateway.loop,
        lambda act: gateway.call_function(target, entrance, args, kwargs, act),
        lambda: ToolRefused(ON_THE_LOOP.format(tool=target.name), target.name),
    )
