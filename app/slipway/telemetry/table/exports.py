"""Spans: how they are stored, and their export."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import error, info, warning
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.fields import PROBLEM, RUN

_EVENTS: Final = (
    warning(
        "spans.dropped",
        "Spans did not reach the receiver since the last such line. Runs do not depend on it.",
        Field("spans", Unit.COUNT, "how many were dropped"),
        Field("sent", Unit.COUNT, "how many the receiver has accepted since the process started"),
        PROBLEM,
    ),
    error("trace.not_stored", "Spans of a run were not stored, because of a fault.", RUN, has_exception=True),
    error("trace.not_exported", "A span was not exported, because of a fault.", RUN, has_exception=True),
    info(
        "traces.trimmed",
        "Stored spans of runs were deleted.",
        Field("expired", Unit.COUNT, "of how many runs, because of their age"),
        Field("displaced", Unit.COUNT, "of how many runs, because all spans had too many bytes"),
    ),
)

AREA: Final = Area("Spans", _EVENTS)
