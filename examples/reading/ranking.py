"""Ranks passages for a question: BM25 over the passages of all documents. The headings above a passage count in part.

`search` reads one document, so that many documents can be searched in parallel. Its `Finding` has the word counts that
`score` needs to compare the passages of all documents.
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
"""Words. A longer passage (usually code) counts as one of this length."""
_DUPLICATE_SHARE: Final = 0.7
_LEAST_SIMILARITY: Final = 0.8
_HEADING_IS_QUESTION: Final = 2.5


class Candidate(TypedDict):
    """A passage that has at least one facet of the question, in its text or in its heading."""

    document: str
    name: str
    section: str
    quote: str
    display_text: str
    kind: str
    order: int
    lead: str
    counts: dict[str, float]
    """Facet -> number of occurrences; those in headings count in part."""
    facets_in_text: list[str]
    """The facets in the passage itself, without its headings."""
    length: int
    score: float


class Finding(TypedDict):
    """The passages of one document that match a question, and its word counts."""

    document: str
    name: str
    passages: list[Candidate]
    total: int
    """Number of passages in the document, with or without a match."""
    words: int
    frequencies: dict[str, int]
    """Facet -> number of passages that have it."""
    near: dict[str, list[str]]
    """Facet that the document does not have -> words of the document with a similar spelling."""


def search(name: str, title: str, text: str, facets: Sequence[Facet], most: int = _MOST_CANDIDATES) -> Finding:
    """The best `most` passages of one document that have any of the facets."""
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
        forms = tokens(passage.display_text)
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
    """Sets the score of every candidate of the findings, and returns the candidates, best first."""
    findings = list(findings)
    total = sum(finding["total"] for finding in findings) or 1
    average = (sum(finding["words"] for finding in findings) / total) or 1.0
    rarity = rarities(findings, facets)
    total_rarity = sum(rarity.values()) or 1.0
    numbers, steps = wants_number(question), wants_steps(question)
    question_tokens = tokens(question)
    ranked = []
    for candidate in (candidate for finding in findings for candidate in finding["passages"]):
        candidate["score"] = _score(candidate, rarity, total_rarity, average)
        if numbers and re.search(r"\d", candidate["display_text"]):
            candidate["score"] *= 1.3
        if steps:
            candidate["score"] *= _KIND_OF_STEPS.get(candidate["kind"], 1.0)
        if question_tokens and tokens(candidate["section"].rpartition(" › ")[2]) == question_tokens:
            candidate["score"] *= _HEADING_IS_QUESTION
        candidate["score"] = round(candidate["score"], 4)
        if candidate["score"] > 0:
            ranked.append(candidate)
    return sorted(ranked, key=lambda candidate: (-candidate["score"], candidate["name"], candidate["order"]))


def rarities(findings: Sequence[Finding], facets: Iterable[Facet]) -> dict[str, float]:
    """Facet -> its weight. The fewer passages have a facet, the higher is its weight."""
    total = sum(finding["total"] for finding in findings) or 1
    rarity = {}
    for facet in facets:
        having = sum(finding["frequencies"].get(facet["word"], 0) for finding in findings)
        rarity[facet["word"]] = math.log(1 + (total - having + 0.5) / (having + 0.5))
    return rarity


def select_distinct(
    ranked: Iterable[Candidate], *, most: int, most_a_document: int, least_share: float = 0.4
) -> list[Candidate]:
    """The best of `ranked`, without near duplicates and without those below `least_share` of the best score."""
    chosen: list[Candidate] = []
    bags: list[set[str]] = []
    a_document: Counter[str] = Counter()
    best = 0.0
    for candidate in ranked:
        best = best or candidate["score"]
        if len(chosen) >= most or candidate["score"] < least_share * best:
            break
        bag = set(content(candidate["display_text"])) or set(tokens(candidate["display_text"]))
        if a_document[candidate["name"]] < most_a_document and not any(is_near_duplicate(bag, other) for other in bags):
            chosen.append(candidate)
            bags.append(bag)
            a_document[candidate["name"]] += 1
    return chosen


def is_near_duplicate(one: set[str], other: set[str]) -> bool:
    """Whether two sets of words are nearly equal."""
    return len(one & other) >= _DUPLICATE_SHARE * max(1, len(one | other))


def _score(candidate: Candidate, rarity: dict[str, float], total_rarity: float, average: float) -> float:
    length = 1 - _B + _B * candidate["length"] / average
    gained = matched = 0.0
    named = 0
    for word, weight in rarity.items():
        count = candidate["counts"].get(word, 0.0)
        if count:
            gained += weight * count * (_K1 + 1) / (count + _K1 * length)
            matched += weight
            named += 1
    share = 0.5 * matched / total_rarity + 0.5 * named / max(1, len(rarity))
    value = gained * (0.2 + 0.8 * share) * _KIND.get(candidate["kind"], 1.0)
    value *= 0.6 + 0.4 * sum(1 for word in candidate["facets_in_text"] if word in rarity) / max(1, len(rarity))
    if candidate["length"] < 4 and candidate["kind"] == "sentence":
        value *= 0.6
    if candidate["display_text"].endswith((":", "?", "：", "？")) and candidate["kind"] != "code":
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
    """A candidate from a passage. `own` counts the facets in its text without headings; `length` is in words."""
    return {
        "document": title,
        "name": name,
        "section": passage.section,
        "quote": passage.quote,
        "display_text": passage.display_text,
        "kind": passage.kind,
        "order": passage.order,
        "lead": passage.lead,
        "counts": counts,
        "facets_in_text": sorted(own),
        "length": length,
        "score": score,
    }


def _near(missing: Sequence[Facet], text: str) -> dict[str, list[str]]:
    """Words of the text that are spelled like a missing facet: inflections and typing errors."""
    vocabulary = {word for word in words(text) if len(word) > 3 and word not in STOP_WORDS}
    near: dict[str, list[str]] = {}
    for facet in missing:
        word = facet["word"]
        if len(word) < 4:
            continue
        alike = [
            (SequenceMatcher(None, word, other).ratio(), other) for other in vocabulary if _may_be_similar(word, other)
        ]
        best = sorted((pair for pair in alike if pair[0] >= _LEAST_SIMILARITY), key=lambda pair: (-pair[0], pair[1]))
        if best:
            near[word] = list(dict.fromkeys(stem(other) for _, other in best))[:_MOST_NEIGHBOURS]
    return near


def _may_be_similar(word: str, other: str) -> bool:
    """A cheap test before the exact one: the same first letter, and a similar length or the same first letters."""
    if other[0] != word[0]:
        return False
    return abs(len(other) - len(word)) <= 1 or (len(word) > 5 and other.startswith(word[: max(5, len(word) - 3)]))
