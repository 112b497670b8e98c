"""Tries runs that are held again, when something has changed that decides about them."""

from __future__ import annotations

from typing import Final

from slipway.runs.scripts import RunScripts

_RUNS_A_CALL: Final = 100


class HeldRuns:
    """The runs whose threads no version may continue. `builds_registered` and `rollout_changed` only note what has
    happened; the duty `paused_runs` calls `try_again`."""

    def __init__(self, scripts: RunScripts) -> None:
        self._scripts = scripts
        self._reason: str | None = None
        self._chooses_again = False

    def builds_registered(self) -> None:
        """Code is served that was not known before."""
        self._reason = self._reason or "other code is served"

    def rollout_changed(self) -> None:
        """Other versions may be chosen."""
        self._reason, self._chooses_again = "a rollout has changed", True

    async def try_again(self) -> int:
        """Queues the runs that were held before, if there is a reason. Returns how many."""
        reason, chooses_again = self._reason, self._chooses_again
        if reason is None:
            return 0
        self._reason, self._chooses_again = None, False
        total, until = await self._scripts.held_retry(_RUNS_A_CALL, reason, chooses_again=chooses_again)
        while until is not None:
            queued, until = await self._scripts.held_retry(
                _RUNS_A_CALL, reason, chooses_again=chooses_again, until_ms=until
            )
            total += queued
        return total
