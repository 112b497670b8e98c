"""Selects the evidence for an answer from the matching passages, and computes which words of the question it covers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from typing_extensions import TypedDict

from examples.reading.questions import SYNONYMS, Facet
from examples.reading.ranking import Candidate, Finding, rarities, score, select_distinct
from examples.reading.words import content

_MOST_A_PART: Final = 8
_MOST_A_DOCUMENT: Final = 5
_DIRECT: Final = 0.5
"""A passage with at least this share of the weight of a part's facets answers the part directly."""
_NEAR_WEIGHT: Final = 0.7
_SYNONYM_WEIGHT: Final = 0.55


class Part(TypedDict):
    """The evidence for one part of the question, best first."""

    text: str
    passages: list[Candidate]
    direct: bool
    """Whether one passage has most of the facets of this part."""


def gather_evidence(
    findings: Iterable[Finding], parts: Sequence[str], facets: Sequence[Facet], excluded: Collection[str] = ()
) -> list[Part]:
    """The evidence for each part, without the documents whose names are in `excluded`."""
    findings = [finding for finding in findings if finding["name"] not in excluded]
    gathered: list[Part] = []
    for number, text in enumerate(parts):
        own = [facet for facet in facets if number in facet["parts"]]
        ranked = score(findings, own, text)
        chosen: list[Candidate] = [
            {**c} for c in select_distinct(ranked, most=_MOST_A_PART, most_a_document=_MOST_A_DOCUMENT)
        ]
        rarity = rarities(findings, own)
        # only the facets of this part count, although a passage may have those of other parts as well
        has = max((sum(rarity.get(word, 0.0) for word in _facets_of(c)) for c in chosen[:1]), default=0.0)
        direct = bool(chosen) and has >= _DIRECT * sum(rarity.values())
        gathered.append({"text": text, "passages": chosen, "direct": direct})
    return gathered


def covered_and_missing(parts: Iterable[Part], facets: Sequence[Facet]) -> tuple[list[str], list[str]]:
    """The words of the facets that the evidence has, and of those that it does not have."""
    has = {word for part in parts for candidate in part["passages"] for word in _facets_of(candidate)}
    words = [facet["word"] for facet in facets]
    return [word for word in words if word in has], [word for word in words if word not in has]


def widen_facets(
    facets: Sequence[Facet], missing: Collection[str], near: dict[str, list[str]], round_number: int
) -> list[Facet]:
    """Adds stems to the missing facets: first words with a similar spelling, then synonyms.

    Returns the facets unchanged when there is nothing to add.
    """
    wider: list[Facet] = []
    for facet in facets:
        stems = dict(facet["stems"])
        if facet["word"] in missing:
            for form in near.get(facet["word"], ()):
                stems.setdefault(form, _NEAR_WEIGHT)
            if round_number > 1 or len(stems) == len(facet["stems"]):
                for form in list(facet["stems"]):
                    for word in SYNONYMS.get(form, ()):
                        for other in content(word):
                            stems.setdefault(other, _SYNONYM_WEIGHT)
        wider.append({"word": facet["word"], "stems": stems, "parts": facet["parts"]})
    return wider


def _facets_of(candidate: Candidate) -> set[str]:
    return {word for word, count in candidate["counts"].items() if count > 0}
