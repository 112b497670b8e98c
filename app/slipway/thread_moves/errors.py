"""Why a thread cannot be moved."""

from __future__ import annotations

from slipway.graphs.migration_set import Pair
from slipway.graphs.verdict import Reason


class CannotMove(Exception):
    """The stored checkpoint cannot be carried over. Nothing was changed."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.reason = Reason(code, text)


class MigrationFailed(CannotMove):
    """A migration raised, or returned a state that the new version rejects. `place` is file and line."""

    def __init__(self, pair: Pair, problem: str, place: str) -> None:
        super().__init__("migration.failed", f"migration {pair[0]} → {pair[1]} failed: {problem} ({place})")
