"""Input, state and output of the research assistant, all as JSON data."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from examples.reading.changes import Change
from examples.reading.evidence import Part
from examples.reading.questions import Facet, Intent
from examples.reading.ranking import Candidate, Finding


class InputDocument(TypedDict):
    """A document in the input."""

    title: NotRequired[str]
    text: str


class Source(TypedDict):
    """A document to read: a file of the library (`text` is None), or a document of the input."""

    name: str
    title: str
    text: str | None


class Reading(TypedDict):
    """The result of reading one document."""

    finding: Finding | None
    key_sentences: list[Candidate]
    problem: str
    """Why the document was not read, or not read completely; else empty."""


class Citation(TypedDict):
    """One quote. `n` is its mark in the answer; quotes of the same section share it."""

    n: int
    document: str
    section: str
    quote: str
    """Occurs literally in the document, except that each run of white space is one space."""
    name: str
    """The file of the library, or the title in the input."""


class Coverage(TypedDict):
    """How much of the question the evidence covers."""

    covered: list[str]
    missing: list[str]
    share: float
    """0 to 1."""
    rounds: int
    ended_by: str
    """`covered`, `ceiling` (rounds used up), `nothing left to try`; before that `in progress`."""
    documents: int


class Plan(TypedDict):
    """The parsed question."""

    question: str
    intent: Intent
    parts: list[str]


def merge_readings(old: dict[str, Reading] | None, new: dict[str, Reading] | None) -> dict[str, Reading]:
    """Adds readings by document; a new one replaces an old one. None removes all (a new question on the thread)."""
    return {} if new is None else {**(old or {}), **new}


class Input(TypedDict):
    """A question, and the documents to read for it."""

    question: Annotated[str, Field(description="What to find out", examples=["Summarize the policy changes"])]
    documents: NotRequired[
        Annotated[
            list[str | InputDocument] | None,
            Field(
                description="Texts, or objects with title and text; without any, the files of "
                "SLIPWAY_LIBRARY_DIR are read. They stay with the thread",
            ),
        ]
    ]


class Output(TypedDict):
    """The answer and its evidence."""

    answer: str
    """Markdown, with marks such as [1] and a list of sources."""
    citations: list[Citation]
    changes: list[Change]
    coverage: Coverage
    notes: list[str]
    """Problems: files that could not be read, a model that did not answer."""


class State(Input, Output):
    """Input, output and intermediate results."""

    plan: Plan
    facets: list[Facet]
    sources: list[Source]
    readings: Annotated[dict[str, Reading] | None, merge_readings]
    outdated: dict[str, str]
    """Name of a document that has a newer version -> the title and version of the newest."""
    compared: list[str]
    """One line for each document that exists in several versions, such as `Travel policy: version 1 → version 2`."""
    round: int
    evidence: list[Part]


class DocumentTask(TypedDict):
    """The input of one `extract` task."""

    source: Source
    plan: Plan
    facets: list[Facet]


class Context(TypedDict, total=False):
    """Settings of a run."""

    max_rounds: int
    """The most searches, each with more words than the one before: 1 to 10; 3 by default."""
