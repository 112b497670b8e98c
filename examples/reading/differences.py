"""Two versions of a sentence: what replaces what, in a few words."""

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
_JOINTS: Final = frozenset({"and", "or", "to", "und", "oder", "et", "ou", "y", "o"})
_UNIT_ADJECTIVES: Final = frozenset(["working", "calendar", "business", "full", "paid", "consecutive"])


def difference(old: str, new: str) -> tuple[str, bool]:
    """What replaces what, in a few words, and whether figures are all that changed; empty when too much did."""
    was, now = old.split(), new.split()
    replaced: list[tuple[str, str]] = []
    figures = clear = True
    for verb, a, b, c, d in SequenceMatcher(
        None, [_bare(w) for w in was], [_bare(w) for w in now], autojunk=False
    ).get_opcodes():
        if verb == "equal":
            continue
        came, went = now[c:d], was[a:b]
        figures = figures and bool(came and went) and _is_figure(came) and _is_figure(went)
        if not content(" ".join([*came, *went])):
            continue
        if came and went and _is_figure(came) and _is_figure(went):
            unit = _unit(came[-1], now[d : d + 2])
            came, went = [*came, *unit], [*went, *unit]
        elif came and went and not (_has_figure(came) and _has_figure(went)):
            clear = False
        elif not (came and went):
            came, went = _without_joint(came), _without_joint(went)
        replaced.append((_phrase(came), _phrase(went)))
    short = all(len(side.split()) <= _MOST_WORDS for pair in replaced for side in pair)
    if not replaced or len(replaced) > _MOST_REPLACED or not short or not (clear or len(replaced) == 1):
        return "", figures and bool(replaced)
    return "; ".join(dict.fromkeys(_said(came, went) for came, went in replaced)), figures


def _unit(figure: str, following: Sequence[str]) -> list[str]:
    """The words that say what a figure counts: `days`, `working days`; none for a time of day."""
    if ":" in figure or not following or not _bare(following[0]).isalpha() or figure.endswith((",", ".", ";")):
        return []
    return list(following if _bare(following[0]) in _UNIT_ADJECTIVES else following[:1])


def _without_joint(words: Sequence[str]) -> list[str]:
    return list(words[1:] if len(words) > 1 and _bare(words[0]) in _JOINTS else words)


def _has_figure(words: Sequence[str]) -> bool:
    return any(_FIGURE.search(word) or _bare(word) in _NUMBER_WORDS for word in words)


def _said(came: str, went: str) -> str:
    if not went:
        return f"adds “{came}”"
    return f"{came} instead of {went}" if came else f"drops “{went}”"


def _phrase(words: Sequence[str]) -> str:
    return " ".join(words).strip(" ,;.")


def _is_figure(words: Sequence[str]) -> bool:
    return all(_FIGURE.search(word) or _bare(word) in _NUMBER_WORDS or _UNIT_BEFORE.search(word) for word in words)


def _bare(word: str) -> str:
    return word.strip(".,;:!?()[]\"'“”’*_").casefold()
