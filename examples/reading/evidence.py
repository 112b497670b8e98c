"""From what each document has for a question to the evidence for an answer, and how much of the question it covers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from typing_extensions import TypedDict

from examples.reading.questions import ALSO_SAID, Facet
from examples.reading.ranking import Candidate, Finding, distinct, rarities, score
from examples.reading.words import content

_MOST_A_PART: Final = 8
_MOST_A_DOCUMENT: Final = 5
_DIRECT: Final = 0.5
"""From this share on, by what the words tell, a passage answers a part directly."""
_NEAR_WEIGHT: Final = 0.7
_ALSO_WEIGHT: Final = 0.55


class Part(TypedDict):
    """The evidence for one part of the question, best first."""

    text: str
    passages: list[Candidate]
    direct: bool
    """Whether one passage has most of what this part asks for."""


def gather(
    findings: Iterable[Finding], parts: Sequence[str], facets: Sequence[Facet], set_aside: Collection[str] = ()
) -> list[Part]:
    """Evidence a part, without the documents whose names are in `set_aside`."""
    findings = [finding for finding in findings if finding["name"] not in set_aside]
    gathered: list[Part] = []
    for number, text in enumerate(parts):
        own = [facet for facet in facets if number in facet["parts"]]
        ranked = score(findings, own, text)
        chosen: list[Candidate] = [{**c} for c in distinct(ranked, most=_MOST_A_PART, most_a_document=_MOST_A_DOCUMENT)]
        rarity = rarities(findings, own)
        # a passage may also have what the other parts ask for
        has = max((sum(rarity.get(word, 0.0) for word in _having(c)) for c in chosen[:1]), default=0.0)
        direct = bool(chosen) and has >= _DIRECT * sum(rarity.values())
        gathered.append({"text": text, "passages": chosen, "direct": direct})
    return gathered


def covered(parts: Iterable[Part], facets: Sequence[Facet]) -> tuple[list[str], list[str]]:
    """The facets that the evidence has, and those that it lacks."""
    has = {word for part in parts for candidate in part["passages"] for word in _having(candidate)}
    words = [facet["word"] for facet in facets]
    return [word for word in words if word in has], [word for word in words if word not in has]


def widened(
    facets: Sequence[Facet], missing: Collection[str], near: dict[str, list[str]], round_number: int
) -> list[Facet]:
    """The facets with more stems for the missing ones: look-alikes first, then words of like meaning.

    Returns them unchanged when there is nothing left to try.
    """
    wider: list[Facet] = []
    for facet in facets:
        stems = dict(facet["stems"])
        if facet["word"] in missing:
            for form in near.get(facet["word"], ()):
                stems.setdefault(form, _NEAR_WEIGHT)
            if round_number > 1 or len(stems) == len(facet["stems"]):
                for form in list(facet["stems"]):
                    for word in ALSO_SAID.get(form, ()):
                        for other in content(word):
                            stems.setdefault(other, _ALSO_WEIGHT)
        wider.append({"word": facet["word"], "stems": stems, "parts": facet["parts"]})
    return wider


def _having(candidate: Candidate) -> set[str]:
    return {word for word, count in candidate["counts"].items() if count > 0}
