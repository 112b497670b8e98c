"""A graph with all that a trace shows: a model, a tool, a step that lasts until a file exists, and a question."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy, interrupt


class TinyModel(BaseChatModel):
    """Answers without a network: 120 input tokens, 30 output tokens."""

    model: str = "tiny-1"
    max_tokens: int | None = 100

    @property
    def _llm_type(self) -> str:
        return "tiny"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": "test", "ls_model_name": self.model, "ls_max_tokens": self.max_tokens}

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        usage: Any = {"input_tokens": 120, "output_tokens": 30, "total_tokens": 150}
        answer = AIMessage("refund 20 €", usage_metadata=usage, response_metadata={"model_name": self.model})
        return ChatResult(generations=[ChatGeneration(message=answer)])


@tool
def find_order(number: int) -> str:
    """Finds an order."""
    return f"order {number}: 20 €"


class Desk(TypedDict, total=False):
    """`until` is a file for which `check` waits."""

    order: int
    until: str
    found: str
    draft: str
    decision: str


_tries: dict[str, int] = {}


async def look_up(state: Desk) -> Desk:
    return {"found": await find_order.ainvoke({"number": state["order"]})}


async def draft(state: Desk) -> Desk:
    answer = await TinyModel().ainvoke(f"Draft a refund for {state['found']}")
    return {"draft": str(answer.content)}


async def check(state: Desk) -> Desk:
    """Fails once for each process, and is retried."""
    _tries[state["until"]] = _tries.get(state["until"], 0) + 1
    if _tries[state["until"]] == 1:
        raise ConnectionError("the bank did not answer")
    await wait_for_file(Path(state["until"]))
    return {}


async def wait_for_file(file: Path) -> None:
    while not file.exists():  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def ask(state: Desk) -> Desk:
    return {"decision": str(interrupt({"question": "refund?", "draft": state["draft"]}))}


async def pay(state: Desk) -> Desk:
    answer = await TinyModel().ainvoke(f"Confirm {state['draft']}")
    return {"draft": str(answer.content)}


def _refund_desk() -> Any:
    graph = StateGraph(Desk)
    for node in (look_up, draft, ask, pay):
        graph.add_node(node.__name__, node)
    graph.add_node("check", check, retry_policy=RetryPolicy(initial_interval=0.05, jitter=False))
    names = [START, "look_up", "draft", "check", "ask", "pay", END]
    for before, after in itertools.pairwise(names):
        graph.add_edge(before, after)
    return graph.compile()


refund_desk = _refund_desk()
