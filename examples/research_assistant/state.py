"""Input, state and output of the research assistant, all as JSON data."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from examples.reading.changes import Change
from examples.reading.evidence import Part
from examples.reading.questions import Facet, Intent
from examples.reading.ranking import Candidate, Finding


class GivenDocument(TypedDict):
    """A document that comes with the question."""

    title: NotRequired[str]
    text: str


class Source(TypedDict):
    """A document to read: a file of the library, or with its text when it was given."""

    name: str
    title: str
    text: str | None


class Reading(TypedDict):
    """The result of reading one document."""

    finding: Finding | None
    key_sentences: list[Candidate]
    problem: str
    """Why it could not be read, or that only a part was; empty when all is well."""


class Citation(TypedDict):
    """One quote. `n` is its mark in the answer; quotes of the same section share it."""

    n: int
    document: str
    section: str
    quote: str
    """Stands in the document word for word; only its white space is made single."""
    name: str
    """The file, or the title that was given."""


class Coverage(TypedDict):
    """How much of the question the evidence covers."""

    covered: list[str]
    missing: list[str]
    share: float
    """0 to 1."""
    rounds: int
    ended_by: str
    """`covered`, `ceiling` (rounds used up), `nothing left to try`; `going on` until then."""
    documents: int


class Plan(TypedDict):
    """The parsed question."""

    question: str
    intent: Intent
    parts: list[str]


def merged(old: dict[str, Reading] | None, new: dict[str, Reading] | None) -> dict[str, Reading]:
    """Readings by document, later ones over earlier ones; None forgets them all (a new question on the thread)."""
    return {} if new is None else {**(old or {}), **new}


class Input(TypedDict):
    """A question, and the documents to read for it."""

    question: Annotated[str, Field(description="What to find out", examples=["Summarize the policy changes"])]
    documents: NotRequired[
        Annotated[
            list[str | GivenDocument] | None,
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
    """What a reader should know besides: files that could not be read, a model that did not answer."""


class State(Input, Output):
    """All of it."""

    plan: Plan
    facets: list[Facet]
    sources: list[Source]
    readings: Annotated[dict[str, Reading] | None, merged]
    outdated: dict[str, str]
    """Name of a document that has a newer version -> what the newest is called."""
    compared: list[str]
    """One line a document that is there in several versions, such as `Travel policy: version 1 → version 2`."""
    round: int
    evidence: list[Part]


class DocumentTask(TypedDict):
    """What one `extract` is sent out with."""

    source: Source
    plan: Plan
    facets: list[Facet]


class Context(TypedDict, total=False):
    """Settings of a run."""

    max_rounds: int
    """How often the documents may be searched with ever wider words, 1 to 10; 3 when not set."""
