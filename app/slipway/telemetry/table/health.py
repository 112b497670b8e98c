"""Health: checks of the deployment, of event loops and of records."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import info, warning
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.fields import CODE, PROBLEM, VARIABLE
from slipway.telemetry.table.line_fields import OF_THE_WORK

_CODES: Final = Field("codes", Unit.NAMES, "the stable codes of the findings")
_SEVERITY: Final = Field("severity", Unit.CODE, "warning or error")
_RECORD: Final = Field("record", Unit.ID, "the record")
_REPAIRED: Final = Field("repaired", Unit.FLAG, "whether it was repaired")
_BLOCKED_S: Final = Field("blocked_s", Unit.SECONDS, "the time so far in which the event loop did nothing else")
_COLLECTION_S: Final = Field("garbage_collection_s", Unit.SECONDS, "how much of it garbage collection took")
_TASK: Final = Field("task", Unit.NAME, "the asyncio task")
_COROUTINE: Final = Field("coroutine", Unit.NAME, "the function of the task")
_WHERE: Final = Field("where", Unit.NAMES, "the innermost frames, those of the project first")

_EVENTS: Final = (
    warning("health.finding_raised", "A health check found something.", CODE, _SEVERITY, PROBLEM),
    info("health.finding_cleared", "Findings are gone.", _CODES),
    warning("health.probe_failed", "Redis answered the probe of a health check with an error.", PROBLEM),
    warning("health.check_failed", "A part of a health check failed because of a fault.", PROBLEM),
    warning("settings.not_checked", "The settings were not compared with the stored data.", PROBLEM),
    warning("settings.renamed", "A setting is set under its former name.", VARIABLE, PROBLEM),
    warning("doctor.problem_found", "Records contradict each other.", CODE, _RECORD, _REPAIRED),
    warning(
        "event_loop.blocked",
        "Code blocks the event loop, and nothing else happens in this process. The fields of the work are its own.",
        *(_BLOCKED_S, _COLLECTION_S, _WHERE, _TASK, _COROUTINE, *OF_THE_WORK),
    ),
    info(
        "event_loop.unblocked",
        "The code that blocked the event loop is done.",
        *(_BLOCKED_S, _COLLECTION_S, _TASK, _COROUTINE, *OF_THE_WORK),
    ),
)

AREA: Final = Area("Health", _EVENTS)
