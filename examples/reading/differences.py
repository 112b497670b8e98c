"""Describes the difference between two versions of a sentence in a few words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final

from examples.reading.words import content

_MOST_REPLACED: Final = 3
_MOST_WORDS: Final = 6
_UNIT_BEFORE: Final = re.compile(r"[€$£¥]$|^(?:EUR|USD|GBP|CHF)$")
_FIGURE: Final = re.compile(r"\d")
_NUMBER_WORDS: Final = frozenset(
    [
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "once",
        "twice",
        "half",
        "daily",
        "weekly",
        "monthly",
        "quarterly",
        "yearly",
        "ein",
        "eine",
        "zwei",
        "drei",
        "vier",
        "fünf",
        "sechs",
        "sieben",
        "acht",
        "neun",
        "zehn",
        "deux",
        "trois",
        "quatre",
        "cinq",
        "dos",
        "tres",
        "cuatro",
        "cinco",
    ]
)
_CONJUNCTIONS: Final = frozenset({"and", "or", "to", "und", "oder", "et", "ou", "y", "o"})
_UNIT_ADJECTIVES: Final = frozenset(["working", "calendar", "business", "full", "paid", "consecutive"])


def difference(old: str, new: str) -> tuple[str, bool]:
    """Such as `60 EUR instead of 45 EUR`, and whether only figures changed. The text is empty when too much changed."""
    older, newer = old.split(), new.split()
    replaced: list[tuple[str, str]] = []
    figures = clear = True
    for verb, a, b, c, d in SequenceMatcher(
        None, [_bare(w) for w in older], [_bare(w) for w in newer], autojunk=False
    ).get_opcodes():
        if verb == "equal":
            continue
        new_words, old_words = newer[c:d], older[a:b]
        figures = figures and bool(new_words and old_words) and _is_figure(new_words) and _is_figure(old_words)
        if not content(" ".join([*new_words, *old_words])):
            continue
        if new_words and old_words and _is_figure(new_words) and _is_figure(old_words):
            unit = _unit(new_words[-1], newer[d : d + 2])
            new_words, old_words = [*new_words, *unit], [*old_words, *unit]
        elif new_words and old_words and not (_has_figure(new_words) and _has_figure(old_words)):
            clear = False
        elif not (new_words and old_words):
            new_words, old_words = _without_conjunction(new_words), _without_conjunction(old_words)
        replaced.append((_phrase(new_words), _phrase(old_words)))
    short = all(len(side.split()) <= _MOST_WORDS for pair in replaced for side in pair)
    if not replaced or len(replaced) > _MOST_REPLACED or not short or not (clear or len(replaced) == 1):
        return "", figures and bool(replaced)
    return "; ".join(dict.fromkeys(_describe(new_words, old_words) for new_words, old_words in replaced)), figures


def _unit(figure: str, following: Sequence[str]) -> list[str]:
    """The unit behind a figure, such as `days` or `working days`; empty for a time of day."""
    if ":" in figure or not following or not _bare(following[0]).isalpha() or figure.endswith((",", ".", ";")):
        return []
    return list(following if _bare(following[0]) in _UNIT_ADJECTIVES else following[:1])


def _without_conjunction(words: Sequence[str]) -> list[str]:
    return list(words[1:] if len(words) > 1 and _bare(words[0]) in _CONJUNCTIONS else words)


def _has_figure(words: Sequence[str]) -> bool:
    return any(_FIGURE.search(word) or _bare(word) in _NUMBER_WORDS for word in words)


def _describe(new_words: str, old_words: str) -> str:
    if not old_words:
        return f"adds “{new_words}”"
    return f"{new_words} instead of {old_words}" if new_words else f"removes “{old_words}”"


def _phrase(words: Sequence[str]) -> str:
    return " ".join(words).strip(" ,;.")


def _is_figure(words: Sequence[str]) -> bool:
    return all(_FIGURE.search(word) or _bare(word) in _NUMBER_WORDS or _UNIT_BEFORE.search(word) for word in words)


def _bare(word: str) -> str:
    return word.strip(".,;:!?()[]\"'“”’*_").casefold()
