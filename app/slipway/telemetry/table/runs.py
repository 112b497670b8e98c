"""Runs: their attempts, leases and ends."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import Level, event
from slipway.telemetry.table.fields import ATTEMPT, OUTCOME, PROBLEM, RUN

_EVENTS: Final = (
    event(
        Level.WARNING,
        "reaper.run_reclaimed",
        "The lease of a run had expired: its worker died, or lost Redis. The run is queued again, or failed.",
        *(RUN, ATTEMPT, OUTCOME),
    ),
    event(
        Level.WARNING,
        "heartbeat.missed",
        "The leases of this worker were not extended in time, because Redis did not answer.",
        PROBLEM,
    ),
    event(
        Level.ERROR,
        "heartbeat.failed",
        "The leases of this worker were not extended, because of a fault of Slipway.",
        has_exception=True,
    ),
)

AREA: Final = Area("Runs", _EVENTS)
