"""Which passages fit a question: BM25 over the passages of all documents, with the headings above a passage counted in.

A document is searched by itself (`search`), so that many can be searched at once; `Finding` carries what is needed to
weigh its passages against those of the others (`score`).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Final

from typing_extensions import TypedDict

from examples.reading.passages import Passage, passages
from examples.reading.questions import Facet, wants_number, wants_steps
from examples.reading.words import STOP_WORDS, content, stem, tokens, words

_K1: Final = 1.2
_B: Final = 0.4
_HEADING_WEIGHT: Final = 0.6
_TITLE_WEIGHT: Final = 0.35
_KIND: Final = {"sentence": 1.0, "item": 1.0, "row": 1.05, "code": 0.7, "meta": 0.4}
_KIND_OF_STEPS: Final = {"code": 1.6, "row": 0.6}
_MOST_CANDIDATES: Final = 16
_MOST_NEIGHBOURS: Final = 3
_LONGEST_COUNTED: Final = 40
"""Words; a passage beyond this (most often code) is not held back further for its length."""
_SAME: Final = 0.7
_LEAST_ALIKE: Final = 0.8
_HEADING_ASKED: Final = 2.5


class Candidate(TypedDict):
    """A passage that has something of the question."""

    document: str
    name: str
    section: str
    quote: str
    shown: str
    kind: str
    order: int
    lead: str
    counts: dict[str, float]
    """Facet -> how often, headings counted in part."""
    own: list[str]
    """The facets that the passage itself names, headings left aside."""
    length: int
    score: float


class Finding(TypedDict):
    """What one document has for a question."""

    document: str
    name: str
    passages: list[Candidate]
    total: int
    """Passages in the document, fitting or not."""
    words: int
    frequencies: dict[str, int]
    """Facet -> how many passages have it."""
    near: dict[str, list[str]]
    """Facet that the document does not have -> words of the document that look like it."""


def search(name: str, title: str, text: str, facets: Sequence[Facet], most: int = _MOST_CANDIDATES) -> Finding:
    """The passages of one document that have any of the facets, the best `most` of them."""
    weights: dict[str, list[tuple[str, float]]] = {}
    for facet in facets:
        for form, weight in facet["stems"].items():
            weights.setdefault(form, []).append((facet["word"], weight))
    titled = _count(tokens(title), weights)
    headed: dict[str, dict[str, float]] = {}
    found: list[Candidate] = []
    frequencies: Counter[str] = Counter()
    total = length_of_all = 0
    for passage in passages(text):
        if passage.section not in headed:
            headed[passage.section] = _count(tokens(passage.section), weights)
        forms = tokens(passage.shown)
        own = _count(forms, weights)
        if passage.lead:
            own = _sum(own, _count(tokens(passage.lead), weights), _HEADING_WEIGHT)
        total, length_of_all = total + 1, length_of_all + len(forms)
        counts = _sum(_sum(own, headed[passage.section], _HEADING_WEIGHT), titled, _TITLE_WEIGHT)
        frequencies.update(set(own) | set(headed[passage.section]))
        if own or headed[passage.section]:
            found.append(candidate(passage, name, title, counts, own, min(len(forms), _LONGEST_COUNTED)))
    finding: Finding = {
        "document": title,
        "name": name,
        "passages": found,
        "total": total,
        "words": length_of_all,
        "frequencies": dict(frequencies),
        "near": {},
    }
    score([finding], facets)
    found.sort(key=lambda candidate: (-candidate["score"], candidate["order"]))
    del found[most:]
    missing = [facet for facet in facets if facet["word"] not in frequencies]
    finding["near"] = _near(missing, text) if missing else {}
    return finding


def score(findings: Iterable[Finding], facets: Sequence[Facet], question: str = "") -> list[Candidate]:
    """All candidates of the findings with their scores set, best first."""
    findings = list(findings)
    total = sum(finding["total"] for finding in findings) or 1
    average = (sum(finding["words"] for finding in findings) / total) or 1.0
    rarity = rarities(findings, facets)
    everything = sum(rarity.values()) or 1.0
    numbers, steps = wants_number(question), wants_steps(question)
    asked = tokens(question)
    ranked = []
    for candidate in (candidate for finding in findings for candidate in finding["passages"]):
        candidate["score"] = _score(candidate, rarity, everything, average)
        if numbers and re.search(r"\d", candidate["shown"]):
            candidate["score"] *= 1.3
        if steps:
            candidate["score"] *= _KIND_OF_STEPS.get(candidate["kind"], 1.0)
        if asked and tokens(candidate["section"].rpartition(" › ")[2]) == asked:
            candidate["score"] *= _HEADING_ASKED
        candidate["score"] = round(candidate["score"], 4)
        if candidate["score"] > 0:
            ranked.append(candidate)
    return sorted(ranked, key=lambda candidate: (-candidate["score"], candidate["name"], candidate["order"]))


def rarities(findings: Sequence[Finding], facets: Iterable[Facet]) -> dict[str, float]:
    """Facet -> how much it tells: the fewer passages have it, the more."""
    total = sum(finding["total"] for finding in findings) or 1
    rarity = {}
    for facet in facets:
        having = sum(finding["frequencies"].get(facet["word"], 0) for finding in findings)
        rarity[facet["word"]] = math.log(1 + (total - having + 0.5) / (having + 0.5))
    return rarity


def distinct(
    ranked: Iterable[Candidate], *, most: int, most_a_document: int, least_share: float = 0.4
) -> list[Candidate]:
    """The best of `ranked` that do not say the same again, and are not far weaker than the best."""
    chosen: list[Candidate] = []
    bags: list[set[str]] = []
    a_document: Counter[str] = Counter()
    best = 0.0
    for candidate in ranked:
        best = best or candidate["score"]
        if len(chosen) >= most or candidate["score"] < least_share * best:
            break
        bag = set(content(candidate["shown"])) or set(tokens(candidate["shown"]))
        if a_document[candidate["name"]] < most_a_document and not any(same(bag, other) for other in bags):
            chosen.append(candidate)
            bags.append(bag)
            a_document[candidate["name"]] += 1
    return chosen


def same(one: set[str], other: set[str]) -> bool:
    """Whether two bags of words say nearly the same."""
    return len(one & other) >= _SAME * max(1, len(one | other))


def _score(candidate: Candidate, rarity: dict[str, float], everything: float, average: float) -> float:
    length = 1 - _B + _B * candidate["length"] / average
    gained = matched = 0.0
    named = 0
    for word, weight in rarity.items():
        count = candidate["counts"].get(word, 0.0)
        if count:
            gained += weight * count * (_K1 + 1) / (count + _K1 * length)
            matched += weight
            named += 1
    share = 0.5 * matched / everything + 0.5 * named / max(1, len(rarity))
    value = gained * (0.2 + 0.8 * share) * _KIND.get(candidate["kind"], 1.0)
    value *= 0.6 + 0.4 * sum(1 for word in candidate["own"] if word in rarity) / max(1, len(rarity))
    if candidate["length"] < 4 and candidate["kind"] == "sentence":
        value *= 0.6
    if candidate["shown"].endswith((":", "?", "：", "？")) and candidate["kind"] != "code":
        value *= 0.6
    return value


def _count(forms: Iterable[str], weights: dict[str, list[tuple[str, float]]]) -> dict[str, float]:
    counts: dict[str, float] = {}
    for form in forms:
        for word, weight in weights.get(form, ()):
            counts[word] = counts.get(word, 0.0) + weight
    return counts


def _sum(one: dict[str, float], other: dict[str, float], weight: float) -> dict[str, float]:
    if not other:
        return one
    return {
        word: one.get(word, 0.0) + weight * other.get(word, 0.0) for word in (*one, *(w for w in other if w not in one))
    }


def candidate(
    passage: Passage,
    name: str,
    title: str,
    counts: dict[str, float],
    own: dict[str, float],
    length: int,
    score: float = 0.0,
) -> Candidate:
    """A passage with where it stands; `own` are words it says itself, `length` is in words that count."""
    return {
        "document": title,
        "name": name,
        "section": passage.section,
        "quote": passage.quote,
        "shown": passage.shown,
        "kind": passage.kind,
        "order": passage.order,
        "lead": passage.lead,
        "counts": counts,
        "own": sorted(own),
        "length": length,
        "score": score,
    }


def _near(missing: Sequence[Facet], text: str) -> dict[str, list[str]]:
    """Words of the text that begin alike or differ by a letter or so: other forms, and slips of the keyboard."""
    vocabulary = {word for word in words(text) if len(word) > 3 and word not in STOP_WORDS}
    near: dict[str, list[str]] = {}
    for facet in missing:
        word = facet["word"]
        if len(word) < 4:
            continue
        alike = [(SequenceMatcher(None, word, other).ratio(), other) for other in vocabulary if _may_be(word, other)]
        best = sorted((pair for pair in alike if pair[0] >= _LEAST_ALIKE), key=lambda pair: (-pair[0], pair[1]))
        if best:
            near[word] = list(dict.fromkeys(stem(other) for _, other in best))[:_MOST_NEIGHBOURS]
    return near


def _may_be(word: str, other: str) -> bool:
    """Cheap test before the dear one: the same beginning, or a slip of one letter."""
    if other[0] != word[0]:
        return False
    return abs(len(other) - len(word)) <= 1 or (len(word) > 5 and other.startswith(word[: max(5, len(word) - 3)]))
