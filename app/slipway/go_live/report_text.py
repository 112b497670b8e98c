"""The checklist as text for a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from slipway.go_live.checklist import Checklist, PartResult
from slipway.go_live.line import Line
from slipway.health.doctor import PROBLEMS, Problem

COLUMNS: Final = 80
_MARGIN: Final = "        "

Paint = Callable[[str, str], str]
"""Colours a text: what the line counts as, and the text."""


def plain(counts_as: str, text: str) -> str:
    """Without colours."""
    return text


def text_of(checklist: Checklist, paint: Paint = plain) -> str:
    """All lines: first the failed ones of each part, then the warnings, then the others."""
    blocks = ["\n".join(_part(part, paint)) for part in checklist.parts]
    if checklist.problems:
        blocks.append("\n".join(_problems(checklist.problems)))
    return "\n\n".join([*blocks, _summary(checklist, paint)])


def _part(part: PartResult, paint: Paint) -> Iterator[str]:
    yield part.title
    order = ("fail", "warn", "accepted", "pass")
    for line in sorted(part.lines, key=lambda line: order.index(line.counts_as)):
        yield from _line(line, paint)


def _line(line: Line, paint: Paint) -> Iterator[str]:
    mark = {"accepted": "okay"}.get(line.counts_as, line.counts_as)
    subject = f" {_printable(line.subject)}" if line.subject else ""
    head, found = f"{mark.upper()}  {line.code}{subject}", _printable(line.found)
    if line.counts_as == "pass" and len(head) + len(found) + 4 <= COLUMNS:
        yield f"  {paint(line.counts_as, mark.upper())}  {line.code}{subject}  {found}"
        return
    yield f"  {paint(line.counts_as, mark.upper())}  {line.code}{subject}"
    yield from _wrapped(line.found, _MARGIN)
    if line.accepted:
        yield from _wrapped(f"accepted: {line.accepted}", _MARGIN)
    elif line.fix and line.counts_as != "pass":
        yield from _wrapped(f"fix: {line.fix}", _MARGIN)


def _wrapped(text: str, margin: str) -> list[str]:
    return textwrap.wrap(
        _printable(text),
        COLUMNS,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _problems(problems: Sequence[Problem]) -> Iterator[str]:
    yield "Problems of records"
    for problem in problems:
        repaired = "  repaired" if problem.repaired else ""
        yield f"  {problem.name}  {_printable(problem.record_id)}{repaired}"
        yield from _wrapped(PROBLEMS[problem.name], _MARGIN)


def _summary(checklist: Checklist, paint: Paint) -> str:
    counts = [("fail", "failed"), ("warn", "to look at"), ("accepted", "accepted"), ("pass", "passed")]
    return ", ".join(paint(name, f"{checklist.count(name)} {text}") for name, text in counts)


def _printable(text: str) -> str:
    """Characters that a terminal would obey as escapes: texts of records and of a project could forge lines."""
    flat = " ".join(text.split())
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in flat)
