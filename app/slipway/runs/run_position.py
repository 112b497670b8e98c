"""The place of a run in the order of creation."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.runs.record import Run


@dataclass(frozen=True, slots=True, order=True)
class RunPosition:
    """The place of a run in the order of creation: by time in µs, then by id."""

    created_us: int
    run_id: str

    @classmethod
    def of(cls, run: Run) -> RunPosition:
        return cls(int(run.incarnation), run.run_id)
