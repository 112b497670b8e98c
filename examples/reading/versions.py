"""Finds documents that are versions of one document, and their order.

The order follows from markers in the name of the file or the title (`v2`, `version 1.1`, `2024`, `old`), or else from
the version and date in the first lines. Documents with the same name but different words do not count as versions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath
from typing import Final

from examples.reading.library import Document
from examples.reading.words import content

_NUMBERED: Final = re.compile(
    r"(?<![^\W_])(?:version|ver|v|revision|rev|edition|release|draft)[\s._-]{0,2}(\d+(?:[._]\d+)*)(?![^\W_])",
    re.IGNORECASE,
)
_ISO: Final = re.compile(r"(?<!\d)((?:19|20)\d\d)(?:[-_./](\d{1,2}))?(?:[-_./](\d{1,2}))?(?!\d)")
_RANKED: Final = re.compile(
    r"(?<![^\W_])(original|old|previous|before|current|new|updated|after|latest|final)(?![^\W_])", re.IGNORECASE
)
_RANK_OF_WORD: Final = {
    "original": 0,
    "old": 1,
    "previous": 1,
    "before": 1,
    "current": 3,
    "new": 4,
    "updated": 4,
    "after": 4,
    "final": 5,
    "latest": 6,
}
_STATED_VERSION: Final = re.compile(
    r"^[\s>*_|]*(?:version|revision|rev)\b[\s:*_|.]*v?(\d+(?:\.\d+)*)", re.IGNORECASE | re.MULTILINE
)
_STATED_DATE: Final = re.compile(
    r"^[\s>*_|]*(?:effective|in force|valid from|applies from|last (?:updated|changed|reviewed|modified)"
    r"|updated|date|published|as of|stand)"
    r"\b[^\n\d]{0,40}(.{4,40})$",
    re.IGNORECASE | re.MULTILINE,
)
_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        ("jan", "feb", "mar mär", "apr", "may mai", "jun", "jul", "aug", "sep", "oct okt", "nov", "dec dez"), start=1
    )
    for name in names.split()
}
_DAY_MONTH: Final = re.compile(r"(\d{1,2})\.?(?:st|nd|rd|th)?\s+([^\W\d_]{3,9})\.?,?\s+((?:19|20)\d\d)")
_MONTH_DAY: Final = re.compile(r"([^\W\d_]{3,9})\.?\s+(?:(\d{1,2})(?:st|nd|rd|th)?,?\s+)?((?:19|20)\d\d)")
_DOTTED: Final = re.compile(r"(\d{1,2})[./](\d{1,2})[./]((?:19|20)\d\d)")
_WRITTEN_DATE: Final = re.compile(
    r"(?<![^\W_])(?:\d{1,2}\.?(?:st|nd|rd|th)?\s+)?"
    r"(?:jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|ma[yi]|jun[ei]?|jul[yi]?|aug(?:ust)?"
    r"|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)\.?\s+"
    r"(?:\d{1,2}(?:st|nd|rd|th)?,?\s+)?(?:19|20)\d\d(?!\d)",
    re.IGNORECASE,
)
_EMPTY_BRACKETS: Final = re.compile(r"\([\s,;:./–—-]*\)|\[[\s,;:./–—-]*\]")
_HEAD_CHARS: Final = 1500
_LEAST_SHARED: Final = 0.25


@dataclass(frozen=True, slots=True)
class Edition:
    """One version of a document. `label` is its name in an answer, such as `version 2.0 (1 July 2025)`."""

    document: Document
    label: str
    number: tuple[int, ...] | None
    day: date | None
    rank: int | None


@dataclass(frozen=True, slots=True)
class Family:
    """The versions of one document, oldest first; at least two."""

    title: str
    editions: tuple[Edition, ...]


def families(documents: Sequence[Document]) -> list[Family]:
    """The documents that exist in more than one version."""
    grouped: dict[str, list[Document]] = {}
    for document in documents:
        grouped.setdefault(_key(document.name), []).append(document)
    by_title: dict[str, list[Document]] = {}
    found = []
    for group in grouped.values():
        if (family := _family(group)) is not None:
            found.append(family)
        else:
            for document in group:
                by_title.setdefault(_without_markers(document.title), []).append(document)
    found.extend(family for group in by_title.values() if (family := _family(group)) is not None)
    return found


def outdated(found: Sequence[Family]) -> dict[str, str]:
    """Name of each document that has a newer version -> the title and label of the newest."""
    return {
        edition.document.name: f"{family.title} ({family.editions[-1].label})"
        for family in found
        for edition in family.editions[:-1]
    }


def declared_versions(one: Document, other: Document) -> Family:
    """A family of two documents. The first is the older version."""
    return Family(
        _title([one, other]),
        (Edition(one, one.title, None, None, 0), Edition(other, other.title, None, None, 1)),
    )


def vocabulary_overlap(one: str, other: str) -> float:
    """The share of their words that two texts have in common, 0 to 1."""
    first, second = set(content(one)), set(content(other))
    return len(first & second) / max(1, len(first | second))


def _family(group: Sequence[Document]) -> Family | None:
    if len(group) < 2:
        return None
    editions = _sorted([_edition(document) for document in group])
    if editions is None or vocabulary_overlap(editions[-2].document.text, editions[-1].document.text) < _LEAST_SHARED:
        return None
    return Family(_title(group), tuple(editions))


def _sorted(editions: list[Edition]) -> list[Edition] | None:
    """Oldest first, by the first of number, date and rank that differs for all of them; None if none does."""
    numbers = [edition.number for edition in editions if edition.number is not None]
    if len(set(numbers)) == len(editions):
        return sorted(editions, key=lambda edition: edition.number or ())
    days = [edition.day for edition in editions if edition.day is not None]
    if len(set(days)) == len(editions):
        return sorted(editions, key=lambda edition: edition.day or date.min)
    ranks = {_rank(edition) for edition in editions}
    return sorted(editions, key=_rank) if len(ranks) == len(editions) else None


def _rank(edition: Edition) -> int:
    """The rank of words such as `old`. A document without such a word is the current one."""
    return 3 if edition.rank is None else edition.rank


def _edition(document: Document) -> Edition:
    names = f"{PurePosixPath(document.name)} {document.title}"
    head = document.text[:_HEAD_CHARS]
    numbered = _NUMBERED.search(names)
    stated = _STATED_VERSION.search(head)
    text = stated.group(1) if stated else numbered.group(1) if numbered else None
    number = tuple(int(part) for part in re.split(r"[._]", text)) if text else None
    dated = _STATED_DATE.search(head)
    date_in_name = _WRITTEN_DATE.search(names) or _ISO.search(document.name)
    day, on = (dated and _read(dated.group())) or (date_in_name and _read(date_in_name.group())) or (None, "")
    ranked = _RANKED.search(names)
    rank = _RANK_OF_WORD[ranked.group(1).lower()] if ranked else None
    label = f"version {text.replace('_', '.')}{f' ({on})' if on else ''}" if text else f"version of {on}" if on else ""
    return Edition(document, label or (ranked.group(1).lower() if ranked else document.name), number, day, rank)


def read_date(text: str) -> date | None:
    """The first date in `text`: 2025-07-01, 1 July 2025, July 1, 2025, 01.07.2025, a month or a year alone."""
    found = _read(text)
    return found[0] if found else None


def _read(text: str) -> tuple[date, str] | None:
    """The first date in `text`, and the date as text with the same precision."""
    if match := _DAY_MONTH.search(text):
        return _date(match[3], _MONTHS.get(match[2][:3].lower(), 0), match[1])
    if match := _DOTTED.search(text):
        return _date(match[3], match[2], match[1])
    if (match := _MONTH_DAY.search(text)) and (month := _MONTHS.get(match[1][:3].lower())):
        return _date(match[3], month, match[2])
    if match := _ISO.search(text):
        return _date(match[1], match[2], match[3])
    return None


def _date(year: str, month: str | int | None, day: str | None) -> tuple[date, str] | None:
    try:
        found = date(int(year), 1 if month is None else int(month), int(day or 1))
    except ValueError:
        return None
    if month is None:
        return found, year
    return found, f"{found.day} {found:%B %Y}" if day else f"{found:%B %Y}"


def _key(name: str) -> str:
    path = PurePosixPath(name)
    return _without_markers(str(path.with_suffix("")) if path.suffix.lower() in {".md", ".markdown", ".txt"} else name)


def _without_markers(text: str) -> str:
    """A name without version markers."""
    for pattern in (_NUMBERED, _WRITTEN_DATE, _ISO, _RANKED):
        text = pattern.sub(" ", text)
    return " ".join(re.findall(r"[^\W_]+", text.casefold())) or text.casefold()


def _title(group: Sequence[Document]) -> str:
    """The common title of all versions: the newest title without its version marker."""
    title = group[-1].title
    for pattern in (_NUMBERED, _WRITTEN_DATE, _ISO, _EMPTY_BRACKETS):
        title = pattern.sub(" ", title)
    return " ".join(title.split()).strip(" -–—,:_") or group[-1].title
