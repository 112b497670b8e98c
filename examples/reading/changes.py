"""What differs between two versions of a document, section by section, in words a person understands."""

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

_ALIKE: Final = 0.5
"""From this likeness on, a sentence that went and one that came are one sentence that changed."""
_RENAMED: Final = 0.6
_LONGEST_COMPARED: Final = 400
"""Passages a section; beyond this they are matched by equality alone."""


class Change(TypedDict):
    """One difference between two versions."""

    document: str
    """Title of the document, without its version."""
    section: str
    kind: Kind
    summary: str
    """The difference in a few words, such as `60 EUR instead of 45 EUR`."""
    before: str
    """The older version's words, as quoted there; empty when added."""
    after: str
    """The newer version's words, as quoted there; empty when removed."""
    before_name: str
    after_name: str
    before_version: str
    after_version: str
    more: int
    """For a whole section: how many further passages came or went with it."""


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
        self._known_before = {_plain(passage) for passage in _passages(older)}
        self._known_after = {_plain(passage) for passage in _passages(newer)}
        self.found: list[Change] = []

    def section(self, section: str, whole: Sequence[Passage], *, added: bool) -> None:
        """A section that is only in one of the versions, without what the other says elsewhere."""
        known = self._known_before if added else self._known_after
        own = [passage for passage in whole if _plain(passage) not in known]
        if not own:
            return
        first = own[0]
        kind: Kind = ("new section" if added else "section removed") if section else "added" if added else "removed"
        self._add(section, kind, "", "" if added else first.quote, first.quote if added else "", len(own) - 1)

    def passages(self, section: str, old: Sequence[Passage], new: Sequence[Passage]) -> None:
        """What changed, came and went in a section; what only moved is left aside."""
        old = [passage for passage in old if _plain(passage) not in self._known_after]
        new = [passage for passage in new if _plain(passage) not in self._known_before]
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
        summary, figures = difference(old.shown, new.shown)
        if old.shown != new.shown:
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
    return " ".join(tokens(passage.shown)) or passage.shown


def _pairs(was: dict[str, list[Passage]], now: dict[str, list[Passage]]) -> dict[str, str]:
    """Newer section -> the older one that it continues: by name, else by what it says."""
    paired = {section: section for section in now if section in was}
    numberless = {_numberless(section): section for section in was if section not in paired}
    for section in now:
        if section not in paired and _numberless(section) in numberless:
            paired[section] = numberless.pop(_numberless(section))
    taken = set(paired.values())
    for section, said in now.items():
        if section in paired:
            continue
        ours = _bag(said)
        alike = [(_share(ours, _bag(was[other])), other) for other in was if other not in taken]
        if alike and max(alike)[0] >= _RENAMED:
            paired[section] = max(alike)[1]
            taken.add(paired[section])
    return paired


def _numberless(section: str) -> str:
    return re.sub(r"(?:^|(?<=› ))[\d.]+\s*", "", section).casefold()


def _bag(whole: Iterable[Passage]) -> set[str]:
    return {word for passage in whole for word in content(passage.shown)}


def _share(one: set[str], other: set[str]) -> float:
    return len(one & other) / max(1, len(one | other))


def _partners(old: Sequence[Passage], new: Sequence[Passage]) -> dict[int, int]:
    """Index of a new passage -> index of the old one that it replaces: the most alike first."""
    if len(old) > _LONGEST_COMPARED or len(new) > _LONGEST_COMPARED:
        return {}
    was, now = [passage.shown.split() for passage in old], [passage.shown.split() for passage in new]
    likeness = []
    for i, came in enumerate(now):
        bag = set(came)
        for j, went in enumerate(was):
            # Cheap bound first: sentences that share few words cannot be alike.
            if 2 * len(bag & set(went)) >= 0.6 * min(len(bag), len(set(went))):
                ratio = _likeness(went, came)
                if ratio >= _ALIKE:
                    likeness.append((-ratio, i, j))
    partner: dict[int, int] = {}
    for _, i, j in sorted(likeness):
        if i not in partner and j not in partner.values():
            partner[i] = j
    return partner


def _likeness(was: list[str], now: list[str]) -> float:
    """0 to 1; a sentence that went on at length is still like the short one that it was."""
    matcher = SequenceMatcher(None, was, now, autojunk=False)
    least = min(len(was), len(now))
    kept = sum(block.size for block in matcher.get_matching_blocks())
    return max(matcher.ratio(), 0.8 * kept / least if least >= 5 else 0.0)
