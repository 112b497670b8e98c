"""The last node: writes an answer with citations, with a model if there is one."""

from __future__ import annotations

import asyncio
from typing import Any

from langgraph.runtime import Runtime

from examples.reading.ranking import Candidate
from examples.reading.words import content
from examples.research_assistant import extractive
from examples.research_assistant.citations import Citations
from examples.research_assistant.model_answer import write_with_model
from examples.research_assistant.state import Context, State
from slipway.models import model_names


async def write(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Writes the answer with quotes from the documents, or with the models in SLIPWAY_MODEL."""
    citations = Citations(_labels(state))
    notes = list(state.get("notes", []))
    answer = await asyncio.to_thread(_extractive, state, citations)
    written_by = "extract"
    if model_names() and citations.entries:
        try:
            answer, written_by = await write_with_model(state["plan"]["question"], answer, citations), "model"
        except (
            Exception
        ) as error:  # a provider raises its own classes; the run still answers, and reports the exception
            notes.append(f"No model answered ({type(error).__name__}: {error}); this answer quotes the documents.")
    if written_by == "extract":
        answer = "\n\n".join(filter(None, (answer, citations.sources())))
    if notes:
        answer += "\n\n**Notes**\n\n" + "\n".join(f"- {note}" for note in notes)
    runtime.stream_writer({"stage": "write", "citations": len(citations.entries), "by": written_by})
    return {"answer": answer, "citations": citations.entries, "notes": notes}


def _extractive(state: State, citations: Citations) -> str:
    if not any(reading["finding"] for reading in (state["readings"] or {}).values()):
        return (
            "There are no documents to read. Put Markdown or text files into SLIPWAY_LIBRARY_DIR, "
            "or send `documents` with the question."
        )
    intent = state["plan"]["intent"]
    if intent == "changes" and state["compared"]:
        return extractive.answer_changes(state["changes"], state["compared"], state["facets"], citations)
    missing = _missing_as_written(state)
    found = any(part["passages"] for part in state["evidence"])
    if intent == "changes":
        notice = "No document exists in two versions, so there is nothing to compare."
        if found:
            return f"{notice} What the documents say about it:\n\n" + extractive.answer_question(
                state["evidence"], [], missing, citations
            )
        if not any(_key_sentences(state)):
            return "The documents are empty."
        return f"{notice} What they are about:\n\n" + extractive.answer_summary(_key_sentences(state), {}, citations)
    if intent == "summary" and (named := _named(state)):
        return extractive.answer_summary(named, {}, citations)
    if intent == "summary" and not _narrow(state):
        return extractive.answer_summary(_key_sentences(state), state["outdated"], citations)
    if not found:
        return _nothing(state)
    return extractive.answer_question(state["evidence"], state["changes"], missing, citations)


def _narrow(state: State) -> bool:
    """Whether the question wants a summary of one subject, and the documents cover the subject."""
    return bool(state["coverage"]["covered"]) and any(part["direct"] for part in state["evidence"])


def _named(state: State) -> list[list[Candidate]]:
    """The summaries of the documents whose titles have every word of the subject, without older versions."""
    subject = [set(facet["stems"]) for facet in state["facets"]]
    current = [each for each in _key_sentences(state) if each and each[0]["name"] not in state["outdated"]]
    return [each for each in current if subject and all(forms & set(content(each[0]["document"])) for forms in subject)]


def _key_sentences(state: State) -> list[list[Candidate]]:
    return [reading["key_sentences"] for _, reading in sorted((state["readings"] or {}).items())]


def _nothing(state: State) -> str:
    titles = sorted(
        {
            reading["finding"]["document"]
            for reading in (state["readings"] or {}).values()
            if reading["finding"] is not None
        }
    )
    shortened = extractive.listed(titles[:12]) + (f" and {len(titles) - 12} more" if len(titles) > 12 else "")
    words = [f"“{word}”" for word in _missing_as_written(state)]
    about = f" about {extractive.listed(words, 'or')}" if words else " that answers this"
    return f"The documents have no information{about}. They are: {shortened}."


def _missing_as_written(state: State) -> list[str]:
    """The missing words, with upper and lower case as in the question."""
    question = state["plan"]["question"]
    lower = question.lower()
    positions = {word: lower.find(word) for word in state["coverage"]["missing"]}
    return [question[start : start + len(word)] if start >= 0 else word for word, start in positions.items()]


def _labels(state: State) -> dict[str, str]:
    """Name of each document with several versions -> its version."""
    labels: dict[str, str] = {}
    for change in state["changes"]:
        labels[change["before_name"]] = change["before_version"]
        labels[change["after_name"]] = change["after_version"]
    return {name: label for name, label in labels.items() if label != name}
