"""Key sentences of a document: the sentences that represent its sections best."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

from examples.reading.passages import Passage, passages
from examples.reading.ranking import Candidate, candidate
from examples.reading.words import content

_FEWEST_WORDS: Final = 5
_MOST_WORDS: Final = 45


def key_sentences(name: str, title: str, text: str, most: int) -> list[Candidate]:
    """At most `most` passages in the document's order: one of each section first, then the next best.

    A passage counts for its section when it has the words that the document keeps coming back to.
    """
    said = [passage for passage in passages(text) if passage.kind in ("sentence", "item", "row")]
    bags = [content(passage.shown) for passage in said]
    spread = Counter(word for bag in bags for word in set(bag))
    weighed = [(_weight(passage, bag, spread, title), passage, bag) for passage, bag in zip(said, bags, strict=True)]
    best: dict[str, tuple[float, Passage, list[str]]] = {}
    for entry in weighed:
        known = best.get(entry[1].section)
        if known is None or entry[0] > known[0]:
            best[entry[1].section] = entry
    chosen = sorted(best.values(), key=lambda entry: (-entry[0], entry[1].order))[:most]
    taken = {entry[1].order for entry in chosen}
    rest = sorted(
        (entry for entry in weighed if entry[1].order not in taken), key=lambda entry: (-entry[0], entry[1].order)
    )
    chosen += [entry for entry in rest if entry[0] > 0][: max(0, min(most, 5) - len(chosen))]
    return [
        candidate(passage, name, title, {}, {}, len(bag), round(weight, 4))
        for weight, passage, bag in sorted(chosen, key=lambda entry: entry[1].order)
        if weight > 0
    ]


def _weight(passage: Passage, bag: list[str], spread: Counter[str], title: str) -> float:
    length = len(passage.shown.split())
    if not bag or passage.shown.endswith((":", "?", "：", "？")):
        return 0.0
    words = set(bag)
    value = sum(math.log(1 + spread[word]) for word in words) / math.sqrt(len(words) + 3)
    value *= 1.2 if words & set(content(f"{title} {passage.section}")) else 1.0
    value *= 1.8 if passage.order == 0 else 1.2 if not passage.section else 1.0
    value *= 0.85 ** passage.section.count(" › ") * (0.7 if passage.kind == "row" else 1.0)
    value *= 1.1 if any(char.isdigit() for char in passage.shown) else 1.0
    return value * (1.0 if _FEWEST_WORDS <= length <= _MOST_WORDS else 0.4)
