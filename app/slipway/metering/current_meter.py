"""The meter of the run whose code executes."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from slipway.metering.meter import Meter

CURRENT_METER: Final[ContextVar[Meter | None]] = ContextVar("current_meter", default=None)
"""None outside of a run, and in a thread that was started without the context of a node."""
