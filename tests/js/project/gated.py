"""A graph whose reply stops half-way until a test opens its gate, so that the test can act during the run."""

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
    """Replies `word0` to `word11`. Before `word6` it waits for the item `gate` in the store namespace `gates`."""

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


async def reply(state: MessagesState, runtime: Runtime[None]) -> dict[str, Any]:
    """Replies to the last message, whose text is the name of the gate."""
    assert runtime.store is not None
    gate = str(state["messages"][-1].text)
    model = GatedModel(messages=iter([AIMessage("unused")]), gate=gate, store=runtime.store)
    return {"messages": [await model.ainvoke(state["messages"])]}


gated = StateGraph(MessagesState).add_node("reply", reply).add_edge(START, "reply").compile()
gated_subgraph = StateGraph(MessagesState).add_node("gated", gated).add_edge(START, "gated").compile()
