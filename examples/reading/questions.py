"""Parses a question: its intent (changes, summary, answer), its parts, and its significant words (facets)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from typing_extensions import TypedDict

from examples.reading.words import content, is_content, stem, words

Intent = Literal["changes", "summary", "question"]

_CHANGES: Final = re.compile(
    r"\bchanges\b|\bwhat\b.{0,60}\bchanged?\b|\bhow (?:did|has|have)\b.{0,60}\bchanged?\b|\bchanged (?:since"
    r"|between|from)\b"
    r"|\bdifferences?\b|\bdiff\b|\bcompar(?:e|es|ed|ing|ison)\b|\bwhat(?:'s|’s| is| are)(?: the)? new\b|\bchangelog\b"
    r"|\b(?:the|latest|recent|policy|any) (?:updates?|revisions?|amendments?)\b|\bänderung\w*|\bgeändert\w*"
    r"|\bunterschied\w*"
    r"|\bcambios?\b|\bdiferencias?\b|\bchangements?\b|\bmodifications?\b|\bmodifiche\b|\bwijziging\w*|\balterações\b",
    re.IGNORECASE,
)
_HOW_TO_CHANGE: Final = re.compile(
    r"\b(?:how (?:do|can|to|should)|can i|may i|want to|need to)\b.{0,60}\bchang", re.IGNORECASE
)
_SUMMARY: Final = re.compile(
    r"\bsummar\w+|\boverview\b|\boutline\b|\b(?:key|main) (?:points?|ideas?|facts)\b|\btl;?dr\b|\bgist\b"
    r"|\bhighlights\b|\brecap\b"
    r"|\bwhat (?:is|are) (?:this|these|the) (?:documents?|texts?|library|files?|pages?) about\b"
    r"|\bzusammenfass\w*|\bfass\w* .{0,60}zusammen\b|\büberblick\b|\brésum\w+|\bresum\w+|\briassu\w+|\bsamenvat\w+",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(
    r"\b(?:how (?:many|much|long|often|far|old|big|large|high)|when|limits?|deadlines?|maximum|minimum"
    r"|percent\w*|wie ?viele?|wie lange"
    r"|wann|combien|cuántos?|cuándo|quando|quanto|hoeveel|wanneer)\b",
    re.IGNORECASE,
)
_HOW_TO: Final = re.compile(
    r"\bhow (?:do|can|to|should)\b|\bcommands?\b|\bexamples?\b|\bsyntax\b|\busage\b", re.IGNORECASE
)
_EARLIER: Final = re.compile(
    r"\b(?:previous(?:ly)?|earlier|(?<!how )old(?:er)?|former(?:ly)?|used to|in the past|history|originally"
    r"|versions?|v\d+)\b",
    re.IGNORECASE,
)
_PRONOUN: Final = re.compile(
    r"\b(?:it|its|they|them|their|this|that|these|those|one|sie|es|ihn|diese[rsn]?)\b", re.IGNORECASE
)
_PARTS: Final = re.compile(
    r"[?;？；\n]+|,? \b(?:and|und|et|y)\b (?=(?:how|what|when|who|whom|where|which|why|can|may|must|should|is"
    r"|are|do|does|did"
    r"|wie|was|wann|wer|wo|warum|comment|quand|qui|où|cuándo|quién|dónde)\b)",
    re.IGNORECASE,
)
_REQUEST_WORDS: Final = frozenset(
    content(
        """
        summarize summarise summary overview outline key main point points idea fact highlights recap gist change
        changes changed difference differences differ compare comparison version versions update updates updated
        revision revisions amendment new latest recent brief briefly short text texts file files library question answer
        since previous previously earlier old zusammenfassung überblick änderungen geändert unterschied unterschiede
        cambios resumen résumé changements
        """
    )
)

_SYNONYM_GROUPS: Final = """
holiday vacation leave, pay salary wage, refund reimburse repay, reimburse claim pay, cost price fee charge, delete
erase remove destroy, boss manager supervisor, wfh remote home, home remote, buy purchase order, ill sick illness,
baby parental birth, phone mobile device, laptop device computer, car vehicle, train rail, plane flight fly, food
meal, lodging hotel accommodation, password credential, mfa factor authenticator, 2fa factor authenticator, login
sign-in, email e-mail mail, keep retain store retention, breach incident, install setup installation, start begin
run launch, error failure problem, configure setting option, quit resign, fire terminate, deadline within days,
limit maximum up, allow permit, forbid prohibit, abroad country, employee staff worker, customer client buyer,
company firm business
"""


def _read_synonyms() -> dict[str, list[str]]:
    others: dict[str, list[str]] = {}
    for group in _SYNONYM_GROUPS.replace("\n", " ").split(","):
        for word in group.split():
            others.setdefault(stem(word), []).extend(stem(other) for other in group.split() if other != word)
    return others


SYNONYMS: Final = _read_synonyms()
"""Stem -> stems of its synonyms."""


class Facet(TypedDict):
    """One significant word of the question, with all stems that count as a match."""

    word: str
    """The word as the question spells it."""
    stems: dict[str, float]
    """Stem -> weight: 1 for the question's own word, less for similar words and synonyms."""
    parts: list[int]
    """Numbers of the parts of the question that have the word.

    A part with a pronoun such as `it` also has the words of the part before.
    """


@dataclass(frozen=True, slots=True)
class Question:
    """A parsed question."""

    text: str
    intent: Intent
    parts: tuple[str, ...]
    facets: tuple[Facet, ...]


def parse_question(text: str) -> Question:
    """The question's intent, parts and facets."""
    parts = tuple(part.strip(" ,.?!¿¡") for part in _PARTS.split(text))
    parts = tuple(part for part in parts if any(is_content(word) for word in words(part))) or (text.strip(),)
    intent = _intent(text)
    facets: dict[str, Facet] = {}
    for number, part in enumerate(parts):
        for word in words(part):
            key = stem(word)
            if not is_content(word) or (intent != "question" and key in _REQUEST_WORDS):
                continue
            facet = facets.setdefault(key, {"word": word, "stems": {key: 1.0}, "parts": []})
            if number not in facet["parts"]:
                facet["parts"].append(number)
        if number and _PRONOUN.search(part):
            for facet in facets.values():
                if number - 1 in facet["parts"] and number not in facet["parts"]:
                    facet["parts"].append(number)
    return Question(text.strip(), intent, parts, tuple(facets.values()))


def wants_number(text: str) -> bool:
    """Whether the answer most likely contains a number or a date."""
    return bool(_NUMBER.search(text))


def wants_steps(text: str) -> bool:
    """Whether the question is about how to do something, so that a command may be the best answer."""
    return bool(_HOW_TO.search(text))


def wants_earlier(text: str) -> bool:
    """Whether the question is about the past or about versions."""
    return bool(_EARLIER.search(text))


def _intent(text: str) -> Intent:
    if _CHANGES.search(text) and not _HOW_TO_CHANGE.search(text):
        return "changes"
    return "summary" if _SUMMARY.search(text) else "question"
