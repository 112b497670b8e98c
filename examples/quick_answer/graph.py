"""One question, one short answer: reckoned at once, or looked up in the library."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from pydantic import Field
from typing_extensions import TypedDict

from examples.quick_answer.arithmetic import TooHard, as_sum, readable, reckon
from examples.quick_answer.dates import about_date
from examples.quick_answer.units import convert
from examples.reading.evidence import Part
from examples.reading.library import library_dir, read_library
from examples.reading.lookup import look_up

Kind = Literal["sum", "unit", "date", "library", "none"]

FALLBACK = (
    "I have no short answer to that. I can reckon (“12.5% of 480”), convert units (“5 km in miles”), tell dates "
    "(“which weekday is 24 December 2027?”) and look things up in the library. For longer questions there is the "
    "research assistant."
)


class Input(TypedDict):
    """A short question."""

    question: Annotated[
        str, Field(description="A sum, a conversion, a date, or a short question", examples=["What is 12.5% of 480?"])
    ]


class Output(TypedDict):
    """A short answer."""

    answer: str
    kind: Kind
    source: str
    """Where it stands, for an answer from the library; else empty."""


class State(Input, Output):
    """All of it."""


async def reckon_or_tell(state: State) -> dict[str, str]:
    """Sums, units and dates."""
    question = state.get("question")
    if not isinstance(question, str) or not question.strip():
        raise ValueError("question: a question is needed, such as 'What is 12.5% of 480?'")
    answer, kind = compute(question, datetime.now(UTC).date())
    return {"answer": answer, "kind": kind, "source": ""}


def compute(question: str, today: date) -> tuple[str, Kind]:
    """The answer that needs no document, and its kind; ("", "none") when there is none."""
    if told := convert(question):
        return told, "unit"
    if told := about_date(question, today):
        return told, "date"
    if expression := as_sum(question):
        try:
            return f"{' '.join(expression.split())} = {readable(reckon(expression))}", "sum"
        except TooHard as error:
            return f"I cannot reckon that: {error}.", "sum"
    return "", "none"


def after_reckoning(state: State) -> str:
    """Done, or to the library."""
    return END if state["answer"] else "consult_library"


async def consult_library(state: State) -> dict[str, Any]:
    """The passage that answers, or a courteous word that nothing does."""
    part = await ask_library(state["question"])
    if part is None:
        return {"answer": FALLBACK, "kind": "none", "source": ""}
    answer, source = in_short(part)
    return {"answer": answer, "kind": "library", "source": source}


async def ask_library(question: str) -> Part | None:
    """The best evidence in the library's documents, off the event loop."""
    return await asyncio.to_thread(lambda: look_up(question, read_library(library_dir())[0]))


def in_short(part: Part, most: int = 3) -> tuple[str, str]:
    """The best passages of one section as a short text, and where they stand."""
    best = part["passages"][0]
    beside = [p for p in part["passages"][:most] if (p["name"], p["section"]) == (best["name"], best["section"])]
    beside.sort(key=lambda p: p["order"])
    together = ("; " if all(p["kind"] in ("item", "row") for p in beside) else " ").join(p["shown"] for p in beside)
    return together, best["document"] + (f" › {best['section']}" if best["section"] else "")


def build() -> CompiledStateGraph[State, None, Input, Output]:
    """The compiled graph, without a checkpointer: whoever runs it brings one."""
    builder = StateGraph(State, input_schema=Input, output_schema=Output)
    builder.add_node("reckon_or_tell", reckon_or_tell)
    builder.add_node("consult_library", consult_library)
    builder.add_edge(START, "reckon_or_tell")
    builder.add_conditional_edges("reckon_or_tell", after_reckoning, ["consult_library", END])
    builder.add_edge("consult_library", END)
    return builder.compile(name="quick_answer")


graph = build()
