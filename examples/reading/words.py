"""Splits text into words that can be compared: lower case, stems, no stop words.

Chinese and Japanese text is split into pairs of characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN: Final = re.compile(rf"[{_CJK}]+|\d+(?:[.,:]\d+)*|[^\W\d_{_CJK}]+(?:['’][^\W\d_{_CJK}]+)*")
_CJK_RUN: Final = re.compile(rf"[{_CJK}]")

_ENGLISH: Final = """
a about above after again all also am an and any are as at be because been before being below between both but by can
could did do does doing don't down during each every few for from further get give had has have having he her here
hers him his how i if in into is isn't it it's its itself just let list make many may me mean might more most much
must my need no nor not now of off on once one only or other our ours out over own please same say says shall she
should show so some such tell than that that's the their them then there these they this those through to too under
until up us use used using very want was we were what what's when where which while who whom whose why will with
without would yes you your yours explain describe find know long often someone something anything happen happens
exactly document documents take takes taken taking go goes going come comes put gives given able possible reach reaches
"""
# The most common words of German, French, Spanish, Italian, Dutch and Portuguese.
_OTHERS: Final = """
der die das den dem des ein eine einen einer und oder ist sind war wird werden wie was wer wo wann warum ich du er sie
es wir ihr für auf im am zu zum zur mit von bei nach aus nicht kein keine auch dass wenn kann muss darf viele le la
les un une et ou est sont que qui quoi quel quelle quels quelles dans sur pour par avec sans ce cette ces il elle nous
vous ils au aux se ne pas plus combien comment pourquoi quand où el los las una uno y son cuál cuáles cómo cuándo
dónde cuánto cuántos por para con sin del al no lo su sus más como che di gli e è sono per come quanto quando dove het
een de van en in op te voor met niet hoe wat waar wanneer o os as um uma é são em do da dos não
"""

STOP_WORDS: Final = frozenset((*_ENGLISH.split(), *_OTHERS.split()))


def tokens(text: str) -> list[str]:
    """The stem of every word of `text`, in order, stop words included."""
    return list(_stems(text))


def content(text: str) -> list[str]:
    """The stems of the words of `text`, without stop words and single letters."""
    return [stem(word) for word in words(text) if is_content(word)]


def words(text: str) -> list[str]:
    """The words of `text` in lower case; adjacent Chinese or Japanese characters give overlapping pairs."""
    result: list[str] = []
    for match in _TOKEN.finditer(text):
        word = match.group()
        if _CJK_RUN.match(word) and len(word) > 2:
            result.extend(word[i : i + 2] for i in range(len(word) - 1))
        else:
            result.append(word.casefold().replace("’", "'"))
    return result


def is_content(word: str) -> bool:
    """Whether `word` (lower case) is neither a stop word nor a single letter."""
    return word not in STOP_WORDS and (len(word) > 1 or word.isdigit() or bool(_CJK_RUN.match(word)))


def _stems(text: str) -> Iterator[str]:
    return map(stem, words(text))


def stem(word: str) -> str:
    """A short form that is equal for all inflections of a word: `expenses`, `expense` -> `expens`.

    Changes only ASCII words of four letters or more. The rules are for English.
    """
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word.removesuffix("'s")
    word = _singular(word)
    for suffix, least in (
        ("ation", 4),
        ("ment", 3),
        ("ing", 3),
        ("ion", 4),
        ("ed", 3),
        ("ly", 4),
        ("er", 5),
        ("al", 5),
    ):
        if word.endswith(suffix) and len(word) - len(suffix) >= least:
            word = _without_doubled_letter(word[: -len(suffix)])
            break
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    return word[:-1] + "i" if len(word) > 3 and word.endswith("y") else word


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "ches", "shes", "xes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _without_doubled_letter(word: str) -> str:
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiosz":
        return word[:-1]
    return word
