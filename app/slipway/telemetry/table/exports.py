"""The export of spans."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import warning
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.fields import PROBLEM

_EVENTS: Final = (
    warning(
        "spans.dropped",
        "Spans did not reach the receiver since the last such line. Runs do not depend on it.",
        Field("spans", Unit.COUNT, "how many were dropped"),
        Field("sent", Unit.COUNT, "how many the receiver has accepted since the process started"),
        PROBLEM,
    ),
)

AREA: Final = Area("The export of spans", _EVENTS)
