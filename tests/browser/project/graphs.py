"""Graphs that people can watch, stop, answer, and distrust."""

import asyncio
import operator
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal, TypedDict

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt

EVIL = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'
EVIL_MARKDOWN = f"""# {EVIL}

- **bold {EVIL}** and [click](javascript:window.pwned=1) and [web](https://example.org/"onmouseover="window.pwned=1)
- `{EVIL}`

| a | {EVIL} |
|---|---|
| b | {EVIL} |

> {EVIL}
"""


class Climb(TypedDict, total=False):
    """How far, how slowly, and what was passed."""

    steps: int
    pause_s: float
    at: int
    passed: Annotated[list[int], operator.add]


async def step(state: Climb) -> Climb:
    """One step up."""
    await asyncio.sleep(state.get("pause_s", 0.2))
    at = state.get("at", 0) + 1
    get_stream_writer()({"message": f"reached {at}", "of": state["steps"]})
    return {"at": at, "passed": [at]}


def higher(state: Climb) -> str:
    """Until the top."""
    return END if state.get("at", 0) >= state["steps"] else "step"


class SlowModel(GenericFakeChatModel):
    """Says one word at a time, slowly enough to be seen."""

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for number in range(12):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=f"word{number} "))
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk
            await asyncio.sleep(0.2)


async def say(state: MessagesState) -> dict[str, Any]:
    """Twelve words."""
    return {"messages": [await SlowModel(messages=iter([AIMessage("unused")])).ainvoke(state["messages"])]}


class Loose(TypedDict, total=False):
    """Anything."""

    text: str
    answer: Any
    items: Any


async def poison(state: Loose) -> Loose:
    """All that a page must not take for HTML."""
    get_stream_writer()({EVIL: EVIL, "message": EVIL})
    return {"text": EVIL, "answer": EVIL_MARKDOWN, "items": [{EVIL: EVIL}, {"a": [EVIL]}]}


async def refuse(state: Loose) -> Loose:
    """Fails, rudely."""
    raise ValueError(f"{EVIL} no luck today")


async def ask_text(state: Loose) -> Loose:
    """A plain question."""
    return {"answer": interrupt({"question": f"How much? {EVIL}"})}


async def ask_cards(state: Loose) -> Loose:
    """Two actions to decide on."""
    value = {
        "action_requests": [
            {"name": "send_mail", "args": {"to": "a@example.org", "copies": 2}, "description": "Send it"},
            {"name": "delete_file", "args": {"path": "/tmp/x"}},
        ],
        "review_configs": [
            {"action_name": "send_mail", "allowed_decisions": ["approve", "edit"]},
            {"action_name": "delete_file", "allowed_decisions": ["approve", "reject"]},
        ],
    }
    return {"answer": interrupt([value])}


class Place(TypedDict):
    """Something nested."""

    city: str


class Form(TypedDict, total=False):
    """One of each that a form knows."""

    title: str
    count: int
    ratio: float
    sure: bool
    size: Literal["small", "large"]
    tags: list[str]
    place: Place


class Echoed(TypedDict):
    """What was understood."""

    understood: dict[str, Any]


class Both(Form, Echoed):
    """All of it."""


async def repeat(state: Form) -> Echoed:
    """What came in."""
    return {"understood": dict(state)}


climb = StateGraph(Climb).add_node("step", step).add_edge(START, "step").add_conditional_edges("step", higher).compile()
talk = StateGraph(MessagesState).add_node("say", say).add_edge(START, "say").compile()
hostile = StateGraph(Loose).add_node("poison", poison).add_edge(START, "poison").compile()
fails = StateGraph(Loose).add_node("refuse", refuse).add_edge(START, "refuse").compile()
asks = StateGraph(Loose).add_node("ask", ask_text).add_edge(START, "ask").compile()
cards = StateGraph(Loose).add_node("ask", ask_cards).add_edge(START, "ask").compile()
echo = (
    StateGraph(Both, input_schema=Form, output_schema=Echoed)
    .add_node("repeat", repeat, input_schema=Form)
    .add_edge(START, "repeat")
    .compile()
)
