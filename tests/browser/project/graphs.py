"""Graphs for the tests of the pages: slow, streaming, hostile, failing, interrupting, and one with all field kinds."""

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

HOSTILE = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'
HOSTILE_MARKDOWN = f"""# {HOSTILE}

- **bold {HOSTILE}** and [click](javascript:window.pwned=1) and [web](https://example.org/"onmouseover="window.pwned=1)
- `{HOSTILE}`

| a | {HOSTILE} |
|---|---|
| b | {HOSTILE} |

> {HOSTILE}
"""


class Progress(TypedDict, total=False):
    """How many steps to execute, the pause before each, and the steps that are done."""

    steps: int
    pause_s: float
    done: int
    finished: Annotated[list[int], operator.add]


async def step(state: Progress) -> Progress:
    await asyncio.sleep(state.get("pause_s", 0.2))
    done = state.get("done", 0) + 1
    get_stream_writer()({"message": f"finished step {done}", "of": state["steps"]})
    return {"done": done, "finished": [done]}


def next_node(state: Progress) -> str:
    return END if state.get("done", 0) >= state["steps"] else "step"


class SlowModel(GenericFakeChatModel):
    """Streams twelve words with a pause of 0.2 s after each, so that a test can see them appear."""

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


async def reply(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await SlowModel(messages=iter([AIMessage("unused")])).ainvoke(state["messages"])]}


class Untyped(TypedDict, total=False):
    """A text, and channels for values of any type."""

    text: str
    answer: Any
    items: Any


async def write_hostile(state: Untyped) -> Untyped:
    """Returns texts and keys that a page must not render as HTML."""
    get_stream_writer()({HOSTILE: HOSTILE, "message": HOSTILE})
    return {"text": HOSTILE, "answer": HOSTILE_MARKDOWN, "items": [{HOSTILE: HOSTILE}, {"a": [HOSTILE]}]}


async def fail(state: Untyped) -> Untyped:
    """Fails with an error text that a page must not render as HTML."""
    raise ValueError(f"{HOSTILE} no luck today")


async def interrupt_with_question(state: Untyped) -> Untyped:
    return {"answer": interrupt({"question": f"How much? {HOSTILE}"})}


class Place(TypedDict):
    city: str


class Form(TypedDict, total=False):
    """One field of each kind that a form has."""

    title: str
    count: int
    ratio: float
    sure: bool
    size: Literal["small", "large"]
    tags: list[str]
    place: Place


class Received(TypedDict):
    """The input that the graph received."""

    received: dict[str, Any]


class FormState(Form, Received):
    """Input and output."""


async def repeat(state: Form) -> Received:
    return {"received": dict(state)}


slow_steps = (
    StateGraph(Progress)
    .add_node("step", step)
    .add_edge(START, "step")
    .add_conditional_edges("step", next_node)
    .compile()
)
talk = StateGraph(MessagesState).add_node("reply", reply).add_edge(START, "reply").compile()
hostile = StateGraph(Untyped).add_node("write_hostile", write_hostile).add_edge(START, "write_hostile").compile()
HOSTILE_NODE = "<img src=x onerror=window.pwned=1>" + "n" * 10_000
hostile_names = StateGraph(Untyped).add_node(HOSTILE_NODE, write_hostile).add_edge(START, HOSTILE_NODE).compile()
fails = StateGraph(Untyped).add_node("fail", fail).add_edge(START, "fail").compile()
interrupts = StateGraph(Untyped).add_node("ask", interrupt_with_question).add_edge(START, "ask").compile()
echo = (
    StateGraph(FormState, input_schema=Form, output_schema=Received)
    .add_node("repeat", repeat, input_schema=Form)
    .add_edge(START, "repeat")
    .compile()
)
