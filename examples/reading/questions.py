"""What a question asks for: its parts, the words that matter (facets), and whether it wants changes or a summary."""

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
_DOING: Final = re.compile(r"\b(?:how (?:do|can|to|should)|can i|may i|want to|need to)\b.{0,60}\bchang", re.IGNORECASE)
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
_BACK: Final = re.compile(
    r"\b(?:it|its|they|them|their|this|that|these|those|one|sie|es|ihn|diese[rsn]?)\b", re.IGNORECASE
)
_PARTS: Final = re.compile(
    r"[?;？；\n]+|,? \b(?:and|und|et|y)\b (?=(?:how|what|when|who|whom|where|which|why|can|may|must|should|is"
    r"|are|do|does|did"
    r"|wie|was|wann|wer|wo|warum|comment|quand|qui|où|cuándo|quién|dónde)\b)",
    re.IGNORECASE,
)
_ASKING: Final = frozenset(
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

_LIKE: Final = """
holiday vacation leave, pay salary wage, refund reimburse repay, reimburse claim pay, cost price fee charge, delete
erase remove destroy, boss manager supervisor, wfh remote home, home remote, buy purchase order, ill sick illness,
baby parental birth, phone mobile device, laptop device computer, car vehicle, train rail, plane flight fly, food
meal, lodging hotel accommodation, password credential, mfa factor authenticator, 2fa factor authenticator, login
sign-in, email e-mail mail, keep retain store retention, breach incident, install setup installation, start begin
run launch, error failure problem, configure setting option, quit resign, fire terminate, deadline within days,
limit maximum up, allow permit, forbid prohibit, abroad country, employee staff worker, customer client buyer,
company firm business
"""


def _also_said() -> dict[str, list[str]]:
    others: dict[str, list[str]] = {}
    for group in _LIKE.replace("\n", " ").split(","):
        for word in group.split():
            others.setdefault(stem(word), []).extend(stem(other) for other in group.split() if other != word)
    return others


ALSO_SAID: Final = _also_said()
"""Stem -> stems of words that may be meant by it."""


class Facet(TypedDict):
    """One thing the question is about, with all the stems that count as it."""

    word: str
    """As the question has it."""
    stems: dict[str, float]
    """Stem -> weight: 1 for the question's own word, less for what it was widened to."""
    parts: list[int]
    """Which parts of the question ask for it; a part with `them` or `it` asks for the words before too."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, understood as far as words allow."""

    text: str
    intent: Intent
    parts: tuple[str, ...]
    facets: tuple[Facet, ...]


def understand(text: str) -> Question:
    """The question's intent, parts and facets."""
    parts = tuple(part.strip(" ,.?!¿¡") for part in _PARTS.split(text))
    parts = tuple(part for part in parts if any(is_content(word) for word in words(part))) or (text.strip(),)
    intent = _intent(text)
    facets: dict[str, Facet] = {}
    for number, part in enumerate(parts):
        for word in words(part):
            key = stem(word)
            if not is_content(word) or (intent != "question" and key in _ASKING):
                continue
            facet = facets.setdefault(key, {"word": word, "stems": {key: 1.0}, "parts": []})
            if number not in facet["parts"]:
                facet["parts"].append(number)
        if number and _BACK.search(part):
            for facet in facets.values():
                if number - 1 in facet["parts"] and number not in facet["parts"]:
                    facet["parts"].append(number)
    return Question(text.strip(), intent, parts, tuple(facets.values()))


def wants_number(text: str) -> bool:
    """Whether the answer most likely has a figure or a date in it."""
    return bool(_NUMBER.search(text))


def wants_steps(text: str) -> bool:
    """Whether the question is how to do something: a command may be the best answer."""
    return bool(_HOW_TO.search(text))


def wants_earlier(text: str) -> bool:
    """Whether the question is about how things were, or about versions."""
    return bool(_EARLIER.search(text))


def _intent(text: str) -> Intent:
    if _CHANGES.search(text) and not _DOING.search(text):
        return "changes"
    return "summary" if _SUMMARY.search(text) else "question"
