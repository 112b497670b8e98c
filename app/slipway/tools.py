"""Tools, in the project's code: declares them, calls them, and inside a tool gives its secrets and its idempotency key:

    import slipway.tools

    @slipway.tools.tool(access="write", secrets=["PAYMENT_KEY"])
    async def issue_refund(order: str, amount: float) -> str:
        key = slipway.tools.idempotency_key()
        ...

    async def pay(state):
        await slipway.tools.call("issue_refund", order=state["order"], amount=state["amount"])

A node that is a plain function runs in a thread, where nothing can be awaited; it calls `call_sync`.
"""

from __future__ import annotations

from typing import Any

from slipway.errors import ToolRefused
from slipway.mcp_servers.project_tools import mcp_tools
from slipway.tool_gateway.current_call import CURRENT_CALL, CurrentCall
from slipway.tool_gateway.declarations import tool
from slipway.tool_gateway.entry import gateway_for
from slipway.tool_gateway.secrets import secret_of
from slipway.tool_gateway.thread_calls import call_from_thread, call_on_loop

__all__ = ["call", "call_sync", "idempotency_key", "mcp_tools", "secret", "tool"]


async def call(name: str, /, **args: Any) -> Any:
    """Calls a registered tool, in a node that is a coroutine function. Arguments are converted to the types that the
    tool declares. Raises a subclass of `slipway.errors.ToolError` if the call is not permitted, not valid, rejected by
    people or not possible, and whatever the tool itself raises."""
    gateway = gateway_for(name)
    return await call_on_loop(name, gateway.loop, lambda: gateway.call_by_name(name, args, None))


def call_sync(name: str, /, **args: Any) -> Any:
    """Calls a registered tool as `call` does, from a thread, such as in a node that is a plain function. Blocks the
    thread. Raises `ToolRefused` in a thread that runs an event loop."""
    gateway = gateway_for(name)
    return call_from_thread(
        name,
        gateway.loop,
        lambda act: gateway.call_by_name(name, args, act),
        lambda: ToolRefused(
            f"call_sync blocks, and this thread runs an event loop: use await slipway.tools.call({name!r}, ...)", name
        ),
    )


def idempotency_key() -> str:
    """Inside a tool: a text that is the same whenever this call is executed again, after a crash, a retry or a
    repeated superstep, and different for every other call. Send it with a request that must have its effect once."""
    return _current("idempotency_key").key


def secret(name: str) -> str:
    """Inside a tool: the value of a secret that the tool declares. Raises `SecretMissing` if it is not set, or if the
    tool does not declare it."""
    return secret_of(_current("secret").tool, name)


def _current(function: str) -> CurrentCall:
    current = CURRENT_CALL.get()
    if current is None:
        raise ToolRefused(f"slipway.tools.{function} was called outside of a tool")
    return current
