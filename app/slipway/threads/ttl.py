"""The time to live of threads, and what happens when it has passed."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.protocol_types import Strategy
from slipway.runs.scripts import StoredTtl


@dataclass(frozen=True, slots=True)
class ThreadTtl:
    """Counted in minutes from the request that sets it. `delete` deletes the thread with its runs and checkpoints.
    `keep_latest` deletes all checkpoints but the latest of each namespace, and the time starts again."""

    minutes: float
    strategy: Strategy = "delete"

    def stored(self) -> StoredTtl:
        """The form that scripts take."""
        return {"minutes": str(self.minutes), "strategy": self.strategy, "ms": int(self.minutes * 60_000)}
