"""Crons: runs at scheduled times."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import error, info, warning
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.fields import GRAPH, PROBLEM, RETRY_IN_S, RUN, THREAD, TRACE

_CRON: Final = Field("cron", Unit.ID, "the cron")
_DUE_MS: Final = Field("due_ms", Unit.UNIX_MILLISECONDS, "the due time")
_MISSED: Final = Field("missed", Unit.COUNT, "how many due times were missed")
_OWNER: Final = Field("owner", Unit.ID, "the user of the cron")

_EVENTS: Final = (
    info("cron.run_created", "The run of a due time was created.", *(_CRON, RUN, THREAD, GRAPH, TRACE, _DUE_MS)),
    warning("cron.due_times_missed", "No worker was there at due times of a cron.", _CRON, _DUE_MS, _MISSED),
    error("cron.no_memory", "Redis has no memory for the run; it is tried again.", _CRON, PROBLEM, _DUE_MS, RETRY_IN_S),
    error(
        "cron.auth_failed",
        "Whether the run is permitted is unknown, because a handler of the auth file failed. It is tried again.",
        *(_CRON, PROBLEM, _DUE_MS, RETRY_IN_S),
        has_exception=True,
    ),
    error("cron.access_denied", "The user of a cron may not create the run any more.", _CRON, PROBLEM, _DUE_MS, _OWNER),
    error(
        "cron.skipped",
        "The run of a due time cannot be created. The cron goes on at its next due time.",
        *(_CRON, PROBLEM, _DUE_MS, _OWNER),
        has_exception=True,
    ),
    info("cron.deleted_without_thread", "A cron was deleted, because its thread was.", _CRON, THREAD),
)

AREA: Final = Area("Crons", _EVENTS)
