"""A reply that stops half-way until somebody opens its gate: tests do what they want in the middle of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore

WORDS = 12
HALF_WAY = WORDS // 2
GATES = ("gates",)


class GatedModel(GenericFakeChatModel):
    """Says `word0` to `word11`; before `word6` it waits for the store's item `gates` / `gate`."""

    gate: str
    store: BaseStore

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for number in range(WORDS):
            while number == HALF_WAY and await self.store.aget(GATES, self.gate) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=f"word{number} "))
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


async def say(state: MessagesState, runtime: Runtime[None]) -> dict[str, Any]:
    """The reply. The gate is named by the message that it answers."""
    assert runtime.store is not None
    gate = str(state["messages"][-1].text)
    model = GatedModel(messages=iter([AIMessage("unused")]), gate=gate, store=runtime.store)
    return {"messages": [await model.ainvoke(state["messages"])]}


gated = StateGraph(MessagesState).add_node("say", say).add_edge(START, "say").compile()
inside = StateGraph(MessagesState).add_node("talker", gated).add_edge(START, "talker").compile()
