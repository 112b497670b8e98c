"""The log itself: uncaught exceptions, and lines that were lost."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.event_kind import error, info, warning
from slipway.telemetry.table.field import Field, Unit

_LINES: Final = Field("lines", Unit.COUNT, "how many lines")
_FINALIZER: Final = Field("finalizer", Unit.TEXT, "the function that raised")
_THREAD_NAME: Final = Field("thread_name", Unit.NAME, "the thread of Python")

_EVENTS: Final = (
    error("process.crashed", "An uncaught exception ended the process.", has_exception=True),
    info("process.interrupted", "Ctrl-C ended the process."),
    error("thread.crashed", "An uncaught exception ended a thread of Python.", _THREAD_NAME, has_exception=True),
    error("exception.ignored", "Python ignored an exception: of a finalizer.", _FINALIZER, has_exception=True),
    warning("log.lines_lost", "The reader of the log had stopped reading, and lines were lost.", _LINES),
)

AREA: Final = Area("The log", _EVENTS)
