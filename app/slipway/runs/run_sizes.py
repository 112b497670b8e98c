"""How many bytes of Redis's memory runs of each graph take, learnt in one process from the runs that end there.

The scripts reserve this many bytes for each run that executes or waits in the queue (`redis/lua/lib/admission.lua`).
"""

from __future__ import annotations

from typing import Final

_RECORD_BYTES: Final = 4096
"""The memory of a small run beside what its attempt writes: its record, its thread, and the entries of indexes."""

_OVERHEAD: Final = 1.15
"""The memory that Redis needs for a byte that an attempt writes."""

_RISE: Final = 0.5
_FALL: Final = 0.05
_CHANGE: Final = 0.2
"""A change by this part is published, so most runs publish nothing."""


class RunSizes:
    """Larger runs count more than smaller ones, so that the expected size is rarely too small."""

    def __init__(self) -> None:
        self._expected: dict[str, float] = {}
        self._published: dict[str, float] = {}

    def after_run(self, graph_id: str, written_bytes: int) -> tuple[str, int] | None:
        """Learns from a run that wrote this many bytes. Returns the graph and the bytes that its runs are expected to
        take, if that has changed so much that it is to be published."""
        bytes_taken = _OVERHEAD * written_bytes + _RECORD_BYTES
        expected = self._expected.get(graph_id, bytes_taken)
        expected += (bytes_taken - expected) * (_RISE if bytes_taken > expected else _FALL)
        self._expected[graph_id] = expected
        published = self._published.get(graph_id, 0.0)
        if abs(expected - published) <= _CHANGE * published:
            return None
        self._published[graph_id] = expected
        return graph_id, int(expected)
