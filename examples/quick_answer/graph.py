"""The quick-answer graph: calculates the answer, or searches the library for it."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from pydantic import Field
from typing_extensions import TypedDict

from examples.quick_answer.arithmetic import Uncomputable, evaluate, find_expression, readable
from examples.quick_answer.dates import about_date
from examples.quick_answer.units import convert
from examples.reading.document_search import search_documents
from examples.reading.evidence import Part
from examples.reading.library import library_dir, read_library

Kind = Literal["sum", "unit", "date", "library", "none"]

FALLBACK = (
    "I have no short answer to that. I can calculate (“12.5% of 480”), convert units (“5 km in miles”), answer "
    "questions about dates (“which weekday is 24 December 2027?”) and search the library. For longer questions there "
    "is the research assistant."
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
    """The section of the document, for an answer from the library; else empty."""


class State(Input, Output):
    """Input and output."""


async def calculate(state: State) -> dict[str, str]:
    """Answers questions about sums, units and dates."""
    question = state.get("question")
    if not isinstance(question, str) or not question.strip():
        raise ValueError("question: a question is required, such as 'What is 12.5% of 480?'")
    answer, kind = compute(question, datetime.now(UTC).date())
    return {"answer": answer, "kind": kind, "source": ""}


def compute(question: str, today: date) -> tuple[str, Kind]:
    """The answer without a document, and its kind; ("", "none") if there is none."""
    if answer := convert(question):
        return answer, "unit"
    if answer := about_date(question, today):
        return answer, "date"
    if expression := find_expression(question):
        try:
            return f"{' '.join(expression.split())} = {readable(evaluate(expression))}", "sum"
        except Uncomputable as error:
            return f"I cannot calculate that: {error}.", "sum"
    return "", "none"


def after_calculating(state: State) -> str:
    """Ends when there is an answer."""
    return END if state["answer"] else "search_library"


async def search_library(state: State) -> dict[str, Any]:
    """Answers with a passage of the library, or says that there is none."""
    part = await find_in_library(state["question"])
    if part is None:
        return {"answer": FALLBACK, "kind": "none", "source": ""}
    answer, source = in_short(part)
    return {"answer": answer, "kind": "library", "source": source}


async def find_in_library(question: str) -> Part | None:
    """The best evidence in the documents of the library. Runs in a thread."""
    return await asyncio.to_thread(lambda: search_documents(question, read_library(library_dir())[0]))


def in_short(part: Part, most: int = 3) -> tuple[str, str]:
    """The best passages of one section as a short text, and the document and section."""
    best = part["passages"][0]
    beside = [p for p in part["passages"][:most] if (p["name"], p["section"]) == (best["name"], best["section"])]
    beside.sort(key=lambda p: p["order"])
    together = ("; " if all(p["kind"] in ("item", "row") for p in beside) else " ").join(
        p["display_text"] for p in beside
    )
    return together, best["document"] + (f" › {best['section']}" if best["section"] else "")


def build() -> CompiledStateGraph[State, None, Input, Output]:
    """The compiled graph. The server adds its checkpointer."""
    builder = StateGraph(State, input_schema=Input, output_schema=Output)
    builder.add_node("calculate", calculate)
    builder.add_node("search_library", search_library)
    builder.add_edge(START, "calculate")
    builder.add_conditional_edges("calculate", after_calculating, ["search_library", END])
    builder.add_edge("search_library", END)
    return builder.compile(name="quick_answer")


graph = build()
