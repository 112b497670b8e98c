"""Graphs that call tools of MCP servers."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage
from langgraph.graph import MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

import slipway.tools


class State(TypedDict, total=False):
    tool: str
    args: dict[str, Any]
    results: Annotated[list[Any], operator.add]


async def call(state: State) -> dict[str, Any]:
    try:
        return {"results": [await slipway.tools.call(state["tool"], **state["args"])]}
    except Exception as error:  # not only those of tools: a stop before a switch is to hold all the same
        return {"results": [f"{type(error).__name__}: {error}"]}


def ask(state: MessagesState) -> dict[str, Any]:
    calls = [
        {"name": "crm_find_customer", "args": {"number": 7}, "id": "1"},
        {"name": "crm_delete_customer", "args": {"number": -1}, "id": "2"},
    ]
    return {"messages": [AIMessage("", tool_calls=calls)]}


builder = StateGraph(State)
builder.add_node("call", call)
builder.set_entry_point("call")
caller = builder.compile()

agent_builder = StateGraph(MessagesState)
agent_builder.add_node("ask", ask)
agent_builder.add_node("tools", ToolNode(slipway.tools.mcp_tools("crm")))
agent_builder.add_edge("__start__", "ask")
agent_builder.add_edge("ask", "tools")
agent = agent_builder.compile()
