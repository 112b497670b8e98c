"""The chat graph: one node, in which the model replies to the conversation."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

from examples.chat.builtin import BuiltinChatModel
from slipway.models import chat_model, model_names


async def answer(state: MessagesState) -> dict[str, list[BaseMessage]]:
    """Adds the reply of the model. The stream mode `messages` sends its tokens while the model produces them."""
    messages = state.get("messages")
    if not messages:
        raise ValueError('messages: at least one message is required, such as {"role": "user", "content": "Hello"}')
    model: BaseChatModel = chat_model() if model_names() else BuiltinChatModel()
    return {"messages": [await model.ainvoke(messages)]}


def build() -> CompiledStateGraph[MessagesState, None, MessagesState, MessagesState]:
    """The compiled graph. The server adds its checkpointer."""
    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    builder.add_edge("answer", END)
    return builder.compile(name="chat")


graph = build()
