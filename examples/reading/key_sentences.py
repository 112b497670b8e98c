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
    """At most `most` passages, in the order of the document: first the best of each section, then the next best.

    The best passages have the words that occur in many passages of the document.
    """
    statements = [passage for passage in passages(text) if passage.kind in ("sentence", "item", "row")]
    bags = [content(passage.display_text) for passage in statements]
    spread = Counter(word for bag in bags for word in set(bag))
    weighed = [
        (_weight(passage, bag, spread, title), passage, bag) for passage, bag in zip(statements, bags, strict=True)
    ]
    best: dict[str, tuple[float, Passage, list[str]]] = {}
    for entry in weighed:
        so_far = best.get(entry[1].section)
        if so_far is None or entry[0] > so_far[0]:
            best[entry[1].section] = entry
    chosen = sorted(best.values(), key=lambda entry: (-entry[0], entry[1].order))[:most]
    chosen_orders = {entry[1].order for entry in chosen}
    others = sorted(
        (entry for entry in weighed if entry[1].order not in chosen_orders),
        key=lambda entry: (-entry[0], entry[1].order),
    )
    chosen += [entry for entry in others if entry[0] > 0][: max(0, min(most, 5) - len(chosen))]
    return [
        candidate(passage, name, title, {}, {}, len(bag), round(weight, 4))
        for weight, passage, bag in sorted(chosen, key=lambda entry: entry[1].order)
        if weight > 0
    ]


def _weight(passage: Passage, bag: list[str], spread: Counter[str], title: str) -> float:
    length = len(passage.display_text.split())
    if not bag or passage.display_text.endswith((":", "?", "：", "？")):
        return 0.0
    words = set(bag)
    value = sum(math.log(1 + spread[word]) for word in words) / math.sqrt(len(words) + 3)
    value *= 1.2 if words & set(content(f"{title} {passage.section}")) else 1.0
    value *= 1.8 if passage.order == 0 else 1.2 if not passage.section else 1.0
    value *= 0.85 ** passage.section.count(" › ") * (0.7 if passage.kind == "row" else 1.0)
    value *= 1.1 if any(char.isdigit() for char in passage.display_text) else 1.0
    return value * (1.0 if _FEWEST_WORDS <= length <= _MOST_WORDS else 0.4)
