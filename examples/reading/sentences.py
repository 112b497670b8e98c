"""Splits text into sentences, in most scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_SENTENCE_END: Final = re.compile(r"[.!?…]+[\"'”’»)\]*_]*\s+|[。！？｡]+[」』”）]*\s*|[।؟۔]+\s*")
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(\[])(?:[A-Za-zÀ-ÿ]|e\.g|i\.e|etc|vs|cf|approx|no|nos|nr|art|sec|fig|vol|pp?|ch|dr|mr|mrs|ms"
    r"|prof|st|jr|sr|inc"
    r"|ltd|co|corp|dept|est|min|max|incl|excl|z\.\s?b|d\.\s?h|u\.\s?a|bzw|ca|usw|abs|p\.\s?ex|jan|feb|mar|apr"
    r"|jun|jul|aug"
    r"|sept?|oct|nov|dec)\.$",
    re.IGNORECASE,
)
_LONGEST: Final = 600
"""Characters; a longer sentence is cut at a comma or a space, so that quotes stay short."""


def sentences(text: str) -> Iterator[str]:
    """The sentences of `text` in order, trimmed. No word is lost."""
    start = 0
    for end in _SENTENCE_END.finditer(text):
        if _continues(text, start, end):
            continue
        yield from _pieces(text[start : end.end()])
        start = end.end()
    yield from _pieces(text[start:])


def _continues(text: str, start: int, end: re.Match[str]) -> bool:
    """Whether the sentence continues after this full stop, which ends an abbreviation or precedes a small letter."""
    mark = end.group().strip()
    if not mark.startswith((".", "…")):
        return False
    following = text[end.end() : end.end() + 1]
    if following.islower():
        return True
    head = text[max(start, end.start() - 12) : end.start() + 1]
    return mark == "." and bool(_ABBREVIATION.search(head))


def _pieces(sentence: str) -> Iterator[str]:
    sentence = sentence.strip()
    while len(sentence) > _LONGEST:
        cut = max(sentence.rfind(mark, _LONGEST // 2, _LONGEST) for mark in ("; ", ", ", " "))
        cut = _LONGEST if cut < 0 else cut + 1
        yield sentence[:cut].strip()
        sentence = sentence[cut:].strip()
    if sentence:
        yield sentence
