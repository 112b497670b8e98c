"""A graph that sends the reply of `talk` with a pause before each word."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langgraph.graph import START, MessagesState, StateGraph


class SlowModel(GenericFakeChatModel):
    """Pauses 30 ms before each message chunk."""

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in super()._astream(messages, stop, run_manager, **kwargs):
            await asyncio.sleep(0.03)
            yield chunk


async def reply(state: MessagesState) -> dict[str, Any]:
    model = SlowModel(messages=iter([AIMessage("hello to you")]))
    return {"messages": [await model.ainvoke(state["messages"])]}


slow_talk = StateGraph(MessagesState).add_node("reply", reply).add_edge(START, "reply").compile()
