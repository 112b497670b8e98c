"""The nodes of the research assistant."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from langgraph.runtime import Runtime
from langgraph.types import Send

from examples.reading import library
from examples.reading.changes import Change, changes
from examples.reading.evidence import covered_and_missing, gather_evidence, widen_facets
from examples.reading.key_sentences import key_sentences
from examples.reading.questions import parse_question, wants_earlier
from examples.reading.ranking import Candidate, search
from examples.reading.versions import Family, declared_versions, families, outdated, vocabulary_overlap
from examples.research_assistant.state import Context, Coverage, DocumentTask, Reading, Source, State

DEFAULT_ROUNDS: Final = 3
MOST_ROUNDS: Final = 10
_SMALL_CHARS: Final = 20_000
"""A text up to this long is searched on the event loop; a longer one in a thread."""
_COMPARABLE: Final = 0.4
_MOST_KEY_SENTENCES: Final = 10


async def plan(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Parses the question, lists the documents, and clears the results of an earlier question of the thread."""
    question = state.get("question")
    if not isinstance(question, str) or not question.strip():
        raise ValueError("question: a question is required, such as 'Summarize the policy changes'")
    _max_rounds(runtime)
    parsed = parse_question(question)
    sources = await _sources(state.get("documents"))
    runtime.stream_writer(
        {
            "stage": "plan",
            "intent": parsed.intent,
            "parts": list(parsed.parts),
            "terms": [facet["word"] for facet in parsed.facets],
            "documents": len(sources),
        }
    )
    return {
        "plan": {"question": parsed.text, "intent": parsed.intent, "parts": list(parsed.parts)},
        "facets": list(parsed.facets),
        "sources": sources,
        "readings": None,
        "round": 1,
        "evidence": [],
        "outdated": {},
        "compared": [],
        "answer": "",
        "citations": [],
        "changes": [],
        "notes": [],
    }


async def _sources(documents: object) -> list[Source]:
    if documents:
        return [{"name": d.name, "title": d.title, "text": d.text} for d in library.from_input(documents)]
    folder = await asyncio.to_thread(library.library_dir)
    names = await asyncio.to_thread(library.file_names, folder)
    return [{"name": name, "title": name, "text": None} for name in names]


def assign_documents(state: State) -> list[Send]:
    """One `extract` task for each document, in parallel. The first round also compares the versions of documents."""
    tasks: list[DocumentTask] = [
        {"source": source, "plan": state["plan"], "facets": state["facets"]} for source in state["sources"]
    ]
    comparison = [Send("compare", {"sources": state["sources"], "plan": state["plan"]})] if state["round"] == 1 else []
    return [*(Send("extract", task) for task in tasks), *comparison]


async def extract(state: DocumentTask, runtime: Runtime[Context]) -> dict[str, dict[str, Reading]]:
    """Reads one document and selects the passages that match the question."""
    source = state["source"]
    try:
        document = await _open(source)
    except (OSError, library.NotText) as error:
        runtime.stream_writer({"stage": "extract", "document": source["name"], "problem": str(error)})
        return {"readings": {source["name"]: {"finding": None, "key_sentences": [], "problem": str(error)}}}
    if len(document.text) <= _SMALL_CHARS:
        reading = _read(document, state)
    else:
        reading = await asyncio.to_thread(_read, document, state)
    found = len(reading["finding"]["passages"]) if reading["finding"] else 0
    count = found or len(reading["key_sentences"])
    runtime.stream_writer({"stage": "extract", "document": document.title, "passages": count})
    return {"readings": {document.name: reading}}


async def _open(source: Source) -> library.Document:
    if source["text"] is not None:
        return library.Document(source["name"], source["title"], source["text"])
    return await asyncio.to_thread(lambda: library.read_file(library.library_dir(), source["name"]))


def _read(document: library.Document, task: DocumentTask) -> Reading:
    summary: list[Candidate] = []
    if task["plan"]["intent"] != "question":
        summary = key_sentences(document.name, document.title, document.text, _MOST_KEY_SENTENCES)
    return {
        "finding": search(document.name, document.title, document.text, task["facets"]),
        "key_sentences": summary,
        "problem": _remark(document),
    }


def _remark(document: library.Document) -> str:
    if document.cut:
        return f"{document.name} is long: only its first {library.MAX_FILE_BYTES // 2**20} MiB were read"
    return "" if document.text.strip() else f"{document.name} is empty"


async def compare(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Finds documents that exist in several versions, and what changed between them."""
    documents: list[library.Document] = []
    for source in state["sources"]:
        try:
            documents.append(await _open(source))
        except (OSError, library.NotText):
            continue  # `extract` reports it
    found = await asyncio.to_thread(_families, documents, state["plan"]["intent"] == "changes")
    differences: list[Change] = []
    for family in found:
        found_changes = await asyncio.to_thread(changes, family)
        differences.extend(found_changes)
        runtime.stream_writer({"stage": "compare", "document": family.title, "changes": len(found_changes)})
    lines = [f"{family.title}: {' → '.join(edition.label for edition in family.editions)}" for family in found]
    return {"changes": differences, "outdated": outdated(found), "compared": lines}


def _families(documents: list[library.Document], compare_any_two: bool) -> list[Family]:
    found = families(documents)
    if (
        not found
        and compare_any_two
        and len(documents) == 2
        and vocabulary_overlap(documents[0].text, documents[1].text) >= _COMPARABLE
    ):
        return [declared_versions(documents[0], documents[1])]
    return found


async def rank(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Ranks the passages of all documents, and computes which parts of the question they cover."""
    readings = (state["readings"] or {}).values()
    findings = [reading["finding"] for reading in readings if reading["finding"] is not None]
    plan = state["plan"]
    excluded = () if wants_earlier(plan["question"]) else tuple(state["outdated"])
    parts = await asyncio.to_thread(gather_evidence, findings, plan["parts"], state["facets"], excluded)
    has, lacks = covered_and_missing(parts, state["facets"])
    if plan["intent"] == "changes" and state["changes"]:
        lacks = []
    total = len(has) + len(lacks)
    coverage: Coverage = {
        "covered": has,
        "missing": lacks,
        "share": round(len(has) / total, 2) if total else float(bool(findings)),
        "rounds": state["round"],
        "ended_by": "covered" if not lacks else "in progress",
        "documents": len(findings),
    }
    wider = lacks and widen_facets(state["facets"], lacks, _near(state), state["round"]) != state["facets"]
    if lacks and not wider:
        coverage["ended_by"] = "nothing left to try"
    elif lacks and state["round"] >= _max_rounds(runtime):
        coverage["ended_by"] = "ceiling"
    runtime.stream_writer(
        {
            "stage": "rank",
            "round": state["round"],
            "evidence": sum(len(part["passages"]) for part in parts),
            "covered": has,
            "missing": lacks,
        }
    )
    return {"evidence": parts, "coverage": coverage, "notes": [r["problem"] for r in readings if r["problem"]]}


def after_rank(state: State) -> str:
    """The next node: another search with more words, or the answer."""
    return "widen" if state["coverage"]["ended_by"] == "in progress" else "write"


async def widen(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Adds similar words and synonyms for the words that were not found, and counts the round."""
    missing = state["coverage"]["missing"]
    facets = widen_facets(state["facets"], missing, _near(state), state["round"])
    tried = {facet["word"]: list(facet["stems"])[1:] for facet in facets if facet["word"] in missing}
    runtime.stream_writer({"stage": "widen", "round": state["round"] + 1, "terms": tried})
    return {"facets": facets, "round": state["round"] + 1}


def _near(state: State) -> dict[str, list[str]]:
    near: dict[str, list[str]] = {}
    for reading in (state["readings"] or {}).values():
        for word, forms in (reading["finding"]["near"] if reading["finding"] else {}).items():
            near[word] = list(dict.fromkeys([*near.get(word, []), *forms]))
    return near


def _max_rounds(runtime: Runtime[Context]) -> int:
    max_rounds = (runtime.context or {}).get("max_rounds", DEFAULT_ROUNDS)
    if isinstance(max_rounds, bool) or not isinstance(max_rounds, int) or not 1 <= max_rounds <= MOST_ROUNDS:
        raise ValueError(f"context.max_rounds: a whole number from 1 to {MOST_ROUNDS} is expected, not {max_rounds!r}")
    return max_rounds
