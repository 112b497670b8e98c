"""What the next attempt of a run needs from the log: the marks and frames that earlier attempts appended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from slipway.runs.log_reads import LogReads

PAGE: Final = 500
"""Entries that are read at once."""


@dataclass(frozen=True, slots=True)
class LoggedEvents:
    """`marks` are what writers put beside entries (`Attempt.append`); of the frames there are only the hashes."""

    marks: set[str] = field(default_factory=set)
    hashes: set[int] = field(default_factory=set)

    def has_frame(self, frame: bytes) -> bool:
        """Whether an entry has this very frame."""
        return hash(frame) in self.hashes


async def read_logged_events(log: LogReads, run_id: str) -> LoggedEvents:
    """Reads the whole log in pages. Only attempts after the first one do this."""
    found, start = LoggedEvents(), "-"
    while True:
        page = await log.page(run_id, start, PAGE)
        for _, flat in page:
            stored = dict(zip(flat[::2], flat[1::2], strict=True))
            found.hashes.add(hash(stored[b"f"]))
            if b"m" in stored:
                found.marks.add(stored[b"m"].decode())
        if len(page) < PAGE:
            return found
        start = f"({page[-1][0].decode()}"
