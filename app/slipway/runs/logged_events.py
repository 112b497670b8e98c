"""Reads what earlier attempts of a run appended to its log, so that the next attempt does not append it again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from slipway.runs.log_reads import LogPage
from slipway.serialization.at_rest import opened
from slipway.serialization.places import log_place

PAGE: Final = 500
"""The most entries of one read."""

ReadPage = Callable[[str, str, int], Awaitable[LogPage]]
"""`LogScripts.page`."""


@dataclass(frozen=True, slots=True)
class LoggedEvents:
    """`marks` are the marks of the entries (see `AttemptWriter.append`). Of the frames, only hashes are stored."""

    marks: set[str] = field(default_factory=set)
    hashes: set[int] = field(default_factory=set)

    def has_frame(self, frame: bytes) -> bool:
        """Whether an entry has exactly this frame."""
        return hash(frame) in self.hashes


async def read_logged_events(read_page: ReadPage, run_id: str) -> LoggedEvents:
    """Reads the complete log in pages. A first attempt does not need it."""
    events, start, place = LoggedEvents(), "-", log_place(run_id)
    while True:
        page = await read_page(run_id, start, PAGE)
        for _, flat in page.entries:
            stored = dict(zip(flat[::2], flat[1::2], strict=True))
            events.hashes.add(hash(opened(stored[b"f"], place)))
            if b"m" in stored:
                events.marks.add(stored[b"m"].decode())
        if page.is_last:
            return events
        start = f"({page.entries[-1][0].decode()}"
