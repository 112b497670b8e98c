"""One step: the model replies to the conversation so far."""

from __future__ import annotations

import asyncio

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

from examples import models
from examples.chat.builtin import BuiltinChatModel


async def answer(state: MessagesState) -> dict[str, list[BaseMessage]]:
    """The next message. Its tokens reach stream mode `messages` as the model makes them."""
    messages = state.get("messages")
    if not messages:
        raise ValueError('messages: at least one message is needed, such as {"role": "user", "content": "Hello"}')
    name = models.model_name()
    model: BaseChatModel = await asyncio.to_thread(models.open_model, name) if name else BuiltinChatModel()
    return {"messages": [await model.ainvoke(messages)]}


def build() -> CompiledStateGraph[MessagesState, None, MessagesState, MessagesState]:
    """The compiled graph, without a checkpointer: whoever runs it brings one."""
    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    builder.add_edge("answer", END)
    return builder.compile(name="chat")


graph = build()
