"""A middleware for LangChain's `create_agent`: the model sees only the tools that the agent may call, and receives the
errors of the gateway as messages. It needs the package `langchain` (the extra `models`).

    agent = create_agent(model, tools=[lookup_order, issue_refund], middleware=[ToolPolicyMiddleware()])

Without it the gateway decides as well, but a call that is not permitted fails the run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command

from slipway.errors import SecretMissing, ToolError
from slipway.tool_gateway.current_call import CURRENT_GATEWAY
from slipway.tool_gateway.node_executions import NodeExecution

_TOOLS_NODE: Final = "tools"
"""The name that `create_agent` gives to the node that calls tools."""

Result = ToolMessage | Command[Any]


class ToolPolicyMiddleware(AgentMiddleware[Any, Any, Any]):
    """Hides tools that the node `tools` of the agent may not call, and turns `ToolError` into messages."""

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        return handler(_with_permitted_tools(request))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        return await handler(_with_permitted_tools(request))

    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Result]) -> Result:
        try:
            return handler(request)
        except ToolError as error:
            return _message(error, request)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Result]]
    ) -> Result:
        try:
            return await handler(request)
        except ToolError as error:
            return _message(error, request)


def _with_permitted_tools(request: ModelRequest[Any]) -> ModelRequest[Any]:
    gateway = CURRENT_GATEWAY.get()
    if gateway is None or not gateway.has_policy:
        return request
    node = (*NodeExecution.current("").path[:-1], _TOOLS_NODE)
    # a tool that is a dict is executed by the provider of the model
    tools = [each for each in request.tools if not isinstance(each, BaseTool) or gateway.permits(each.name, node)]
    return request if len(tools) == len(request.tools) else request.override(tools=tools)


def _message(error: ToolError, request: ToolCallRequest) -> ToolMessage:
    """Raises an error that only an operator can correct."""
    if isinstance(error, SecretMissing):
        raise error
    call = request.tool_call
    return ToolMessage(str(error), name=call["name"], tool_call_id=call["id"] or "", status="error")
