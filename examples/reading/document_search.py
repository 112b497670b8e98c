"""Answers one question from a few documents at once, for the chat and for quick answers."""

from __future__ import annotations

from collections.abc import Sequence

from examples.reading.evidence import Part, covered_and_missing, gather_evidence, widen_facets
from examples.reading.library import Document
from examples.reading.questions import parse_question
from examples.reading.ranking import search
from examples.reading.versions import families, outdated


def search_documents(question: str, documents: Sequence[Document]) -> Part | None:
    """The best evidence for the question in the documents, or None when they do not answer it. Blocks (CPU)."""
    parsed = parse_question(question)
    facets = list(parsed.facets)
    if not facets or not documents:
        return None
    old = outdated(families(documents))
    documents = [document for document in documents if document.name not in old]
    parts: list[Part] = []
    for round_number in (1, 2):
        findings = [search(document.name, document.title, document.text, facets) for document in documents]
        parts = gather_evidence(findings, parsed.parts, facets)
        missing = covered_and_missing(parts, facets)[1]
        near = {word: forms for finding in findings for word, forms in finding["near"].items()}
        wider = widen_facets(facets, missing, near, round_number)
        if not missing or wider == facets:
            break
        facets = wider
    answered = [part for part in parts if part["passages"] and part["direct"]]
    return max(answered, key=lambda part: part["passages"][0]["score"], default=None)
