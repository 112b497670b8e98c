"""Runs: their attempts, leases and ends."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import Level, event
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.fields import ATTEMPT, GRAPH, OUTCOME, PROBLEM, REASON, RUN

_WAITS_FOR: Final = Field("waits_for", Unit.CODE, "what it waits for (docs/operations.md)")

_EVENTS: Final = (
    event(
        Level.WARNING,
        "run.stranded",
        "The run waits for what it cannot get by waiting: a version that no live worker serves or that may continue "
        "its thread, a switch, or an operator after its retries. `slipway why` says who can act.",
        *(RUN, GRAPH, ATTEMPT, _WAITS_FOR, REASON),
    ),
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
