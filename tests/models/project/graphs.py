"""Graphs whose nodes call the models of their routes."""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langgraph.graph import MessagesState, StateGraph

from slipway.models import chat_model, model_names

model = chat_model()


async def ask(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await model.ainvoke(state["messages"])]}


def ask_in_thread(state: MessagesState) -> dict[str, Any]:
    return {"messages": [model.invoke(state["messages"])]}


async def names(state: MessagesState) -> dict[str, Any]:
    return {"messages": [("ai", ",".join(model_names()))]}


def graph_of(**nodes: Any) -> Any:
    builder = StateGraph(MessagesState)
    last = "__start__"
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(last, name)
        last = name
    return builder.compile()


falls_back = graph_of(ask=ask)
falls_back_in_thread = graph_of(ask=ask_in_thread)
fails = graph_of(ask=ask)
breaks_off = graph_of(ask=ask)
by_node = graph_of(first=names, second=names)
agent = create_agent(model, [])
