"""Graphs with large states, many tasks and many events, and a probe of the event loop that executes them."""

from __future__ import annotations

import asyncio
import base64
import functools
import operator
import random
import time
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

Shape = Literal["text", "random", "messages", "records", "none"]

PROBE_EVERY_S: Final = 0.002


class Document(TypedDict, total=False):
    """State of `document`: a document of `size` bytes. With `rewrites`, each of the supersteps until `until` replaces
    it."""

    document: Any
    shape: Shape
    size: int
    count: int
    until: int
    rewrites: bool


def _text(size: int) -> str:
    line = "A line of a report, with a quote: \u201cit is so\u201d.\n"
    return line * (size // len(line))


def _messages(size: int) -> list[AnyMessage]:
    return [HumanMessage("word " * (size // 5_000), id=str(number)) for number in range(1_000)]


def _records(size: int) -> list[Any]:
    return [
        {"id": number, "name": f"name {number}", "tags": ["a", "b"], "score": number / 7, "ok": True}
        for number in range(size // 85)
    ]


def _random(size: int) -> str:
    """A text that cannot be compressed to less than three quarters, like a file as base64."""
    return base64.b64encode(random.Random(size).randbytes(size * 3 // 4)).decode()


_MAKERS: Final[dict[Shape, Callable[[int], Any]]] = {
    "text": _text,
    "random": _random,
    "messages": _messages,
    "records": _records,
}


@functools.cache
def value_of(shape: Shape, size: int) -> Any:
    """A value of about `size` bytes as JSON: one text, 1,000 messages, or many small objects."""
    return _MAKERS[shape](size)


async def write_document(state: Document) -> dict[str, Any]:
    """Writes the document in the first superstep, or in each."""
    count, update = state.get("count", 0) + 1, dict[str, Any]()
    shape = state.get("shape", "none")
    if shape != "none" and (count == 1 or state.get("rewrites")):
        update["document"] = value_of(shape, state["size"])
    return {**update, "count": count}


async def next_step(state: Document) -> Literal["write_document", "__end__"]:
    """Until the count is reached."""
    return "write_document" if state["count"] < state["until"] else "__end__"


class Fan(TypedDict, total=False):
    """State of `fan`: the number of parallel tasks, and what each returned."""

    tasks: int
    done: Annotated[list[int], operator.add]


class Task(TypedDict):
    """Input of one task of `fan`."""

    number: int


async def send_all(state: Fan) -> list[Send]:
    """One `Send` for each task."""
    return [Send("leaf", {"number": number}) for number in range(state["tasks"])]


async def leaf(state: Task) -> Fan:
    """Returns its number."""
    return {"done": [state["number"]]}


class Talk(TypedDict, total=False):
    """Input of `talk`: the number of custom events."""

    events: int


async def talk_much(state: Talk) -> Talk:
    """Writes events; after every ten, the event loop continues."""
    writer = get_stream_writer()
    for number in range(state["events"]):
        writer({"number": number, "text": "a short text"})
        if number % 10 == 9:
            await asyncio.sleep(0)
    return {}


class Gaps(TypedDict, total=False):
    """Input and result of `probe`. `longest_ms` is the longest time in which the event loop of the process called
    nothing, and `longest_cpu_ms` the most CPU time that its thread used in one such time."""

    action: Literal["start", "stop"]
    longest_ms: float
    longest_cpu_ms: float


class _Probe:
    """Measures the gaps of an event loop: it is called at an interval, and compares."""

    def __init__(self) -> None:
        self.longest_s = self.longest_cpu_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._continue()

    def stop(self) -> None:
        self._handle.cancel()

    def _continue(self) -> None:
        self._due, self._cpu_s = time.perf_counter() + PROBE_EVERY_S, time.thread_time()
        self._handle = self._loop.call_later(PROBE_EVERY_S, self._called)

    def _called(self) -> None:
        self.longest_s = max(self.longest_s, time.perf_counter() - self._due)
        self.longest_cpu_s = max(self.longest_cpu_s, time.thread_time() - self._cpu_s)
        self._continue()


_probes: Final[list[_Probe]] = []


async def probe_gaps(state: Gaps) -> Gaps:
    """Starts the probe of the process that executes the run, or stops it and returns what it measured."""
    if state["action"] == "start":
        _probes.append(_Probe())
        return {}
    probe = _probes.pop()
    probe.stop()
    return {"longest_ms": probe.longest_s * 1000, "longest_cpu_ms": probe.longest_cpu_s * 1000}


document = (
    StateGraph(Document)
    .add_node("write_document", write_document)
    .add_edge(START, "write_document")
    .add_conditional_edges("write_document", next_step)
)
fan = (
    StateGraph(Fan)
    .add_node("leaf", leaf, input_schema=Task)
    .add_conditional_edges(START, send_all, ["leaf"])
    .add_edge("leaf", END)
)
talk = StateGraph(Talk).add_node("talk_much", talk_much).add_edge(START, "talk_much").add_edge("talk_much", END)
probe = StateGraph(Gaps).add_node("probe_gaps", probe_gaps).add_edge(START, "probe_gaps").add_edge("probe_gaps", END)
