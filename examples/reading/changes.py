"""The differences between two versions of a document, section by section."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Final, Literal

from typing_extensions import TypedDict

from examples.reading.differences import difference
from examples.reading.passages import Passage, passages
from examples.reading.versions import Edition, Family
from examples.reading.words import content, tokens

Kind = Literal["added", "removed", "changed", "figure", "new section", "section removed"]

_SAME_SENTENCE: Final = 0.5
"""A removed and an added sentence with at least this similarity count as one changed sentence."""
_SAME_SECTION: Final = 0.6
_LONGEST_COMPARED: Final = 400
"""Passages in a section. In longer sections only equal passages are matched."""


class Change(TypedDict):
    """One difference between two versions."""

    document: str
    """Title of the document, without its version."""
    section: str
    kind: Kind
    summary: str
    """The difference in a few words, such as `60 EUR instead of 45 EUR`."""
    before: str
    """A quote from the older version; empty when added."""
    after: str
    """A quote from the newer version; empty when removed."""
    before_name: str
    after_name: str
    before_version: str
    after_version: str
    more: int
    """For a whole section: how many further passages were added or removed with it."""


def changes(family: Family) -> list[Change]:
    """All differences from each version to the next, in the order of the newer document."""
    found: list[Change] = []
    for older, newer in zip(family.editions, family.editions[1:], strict=False):
        found.extend(_between(family.title, older, newer))
    return found


def _between(title: str, older: Edition, newer: Edition) -> list[Change]:
    was, now = _sections(older), _sections(newer)
    paired = _pairs(was, now)
    report = _Report(title, older, newer)
    for section, new in now.items():
        old_section = paired.get(section)
        if old_section is None:
            report.section(section, new, added=True)
        else:
            report.passages(section, was[old_section], new)
    for section in was:
        if section not in paired.values():
            report.section(section, was[section], added=False)
    return report.found


class _Report:
    def __init__(self, title: str, older: Edition, newer: Edition) -> None:
        self._title, self._older, self._newer = title, older, newer
        self._all_older = {_plain(passage) for passage in _passages(older)}
        self._all_newer = {_plain(passage) for passage in _passages(newer)}
        self.found: list[Change] = []

    def section(self, section: str, whole: Sequence[Passage], *, added: bool) -> None:
        """Reports a section that only one version has, without the passages that the other version has elsewhere."""
        other_version = self._all_older if added else self._all_newer
        unique = [passage for passage in whole if _plain(passage) not in other_version]
        if not unique:
            return
        first = unique[0]
        kind: Kind = ("new section" if added else "section removed") if section else "added" if added else "removed"
        self._add(section, kind, "", "" if added else first.quote, first.quote if added else "", len(unique) - 1)

    def passages(self, section: str, old: Sequence[Passage], new: Sequence[Passage]) -> None:
        """Reports the changed, added and removed passages of a section. Passages that only moved are not reported."""
        old = [passage for passage in old if _plain(passage) not in self._all_newer]
        new = [passage for passage in new if _plain(passage) not in self._all_older]
        partner = _partners(old, new)
        for index, passage in enumerate(new):
            before = partner.get(index)
            if before is None:
                self._add(section, "added", "", "", passage.quote)
            else:
                self._changed(section, old[before], passage)
        for index, passage in enumerate(old):
            if index not in partner.values():
                self._add(passage.section, "removed", "", passage.quote, "")

    def _changed(self, section: str, old: Passage, new: Passage) -> None:
        summary, figures = difference(old.display_text, new.display_text)
        if old.display_text != new.display_text:
            self._add(section, "figure" if figures else "changed", summary, old.quote, new.quote)

    def _add(self, section: str, kind: Kind, summary: str, before: str, after: str, more: int = 0) -> None:
        self.found.append(
            {
                "document": self._title,
                "section": section,
                "kind": kind,
                "summary": summary,
                "before": before,
                "after": after,
                "before_name": self._older.document.name,
                "after_name": self._newer.document.name,
                "before_version": self._older.label,
                "after_version": self._newer.label,
                "more": more,
            }
        )


def _passages(edition: Edition) -> list[Passage]:
    return [passage for passage in passages(edition.document.text) if passage.kind != "meta"]


def _sections(edition: Edition) -> dict[str, list[Passage]]:
    grouped: dict[str, list[Passage]] = {}
    for passage in _passages(edition):
        grouped.setdefault(passage.section, []).append(passage)
    return grouped


def _plain(passage: Passage) -> str:
    return " ".join(tokens(passage.display_text)) or passage.display_text


def _pairs(was: dict[str, list[Passage]], now: dict[str, list[Passage]]) -> dict[str, str]:
    """Newer section -> the older section that it continues: by name, else by its words."""
    paired = {section: section for section in now if section in was}
    numberless = {_without_number(section): section for section in was if section not in paired}
    for section in now:
        if section not in paired and _without_number(section) in numberless:
            paired[section] = numberless.pop(_without_number(section))
    paired_older = set(paired.values())
    for section, passages_now in now.items():
        if section in paired:
            continue
        words = _bag(passages_now)
        alike = [(_share(words, _bag(was[other])), other) for other in was if other not in paired_older]
        if alike and max(alike)[0] >= _SAME_SECTION:
            paired[section] = max(alike)[1]
            paired_older.add(paired[section])
    return paired


def _without_number(section: str) -> str:
    return re.sub(r"(?:^|(?<=› ))[\d.]+\s*", "", section).casefold()


def _bag(whole: Iterable[Passage]) -> set[str]:
    return {word for passage in whole for word in content(passage.display_text)}


def _share(one: set[str], other: set[str]) -> float:
    return len(one & other) / max(1, len(one | other))


def _partners(old: Sequence[Passage], new: Sequence[Passage]) -> dict[int, int]:
    """Index of a new passage -> index of the old passage that it replaces. The most similar pairs are matched first."""
    if len(old) > _LONGEST_COMPARED or len(new) > _LONGEST_COMPARED:
        return {}
    was, now = [passage.display_text.split() for passage in old], [passage.display_text.split() for passage in new]
    similarity = []
    for i, new_words in enumerate(now):
        bag = set(new_words)
        for j, old_words in enumerate(was):
            # A cheap test first: sentences that share few words cannot be similar.
            if 2 * len(bag & set(old_words)) >= 0.6 * min(len(bag), len(set(old_words))):
                ratio = _similarity(old_words, new_words)
                if ratio >= _SAME_SENTENCE:
                    similarity.append((-ratio, i, j))
    partner: dict[int, int] = {}
    for _, i, j in sorted(similarity):
        if i not in partner and j not in partner.values():
            partner[i] = j
    return partner


def _similarity(was: list[str], now: list[str]) -> float:
    """0 to 1. A long sentence that contains most words of a short one counts as similar to it."""
    matcher = SequenceMatcher(None, was, now, autojunk=False)
    least = min(len(was), len(now))
    shared = sum(block.size for block in matcher.get_matching_blocks())
    return max(matcher.ratio(), 0.8 * shared / least if least >= 5 else 0.0)
