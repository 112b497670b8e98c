"""A chat without a model, and one that needs a person's approval."""

import asyncio
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt


async def reply(state: MessagesState) -> dict[str, Any]:
    """Repeats the last message. The text "wait" takes longer than any test."""
    text = state["messages"][-1].content
    if text == "wait":
        await asyncio.sleep(600)
    return {"messages": [AIMessage(f"You said: {text}")]}


async def approve(state: MessagesState) -> dict[str, Any]:
    """Interrupts, and replies with the answer."""
    return {"messages": [AIMessage(f"Decision: {interrupt({'question': 'Shall I?'})}")]}


chat = StateGraph(MessagesState).add_node("reply", reply).add_edge(START, "reply").compile()
approval = StateGraph(MessagesState).add_node("approve", approve).add_edge(START, "approve").compile()
