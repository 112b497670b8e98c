"""Lines: what happened, with the fields of the code that logs it.

`Line` is the first processor of all lines, of Slipway's and of libraries: it adds the fields that are known without
being passed, orders and bounds all of them, and replaces secrets by the names of fields.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Any, Final

from structlog.typing import EventDict, WrappedLogger

from slipway.current_work import current_work
from slipway.exception_text import LONGEST_TRACEBACK, class_name, is_a, traceback_of
from slipway.logs.values import Values
from slipway.redaction.credential_names import is_credential_name
from slipway.redaction.credential_patterns import REDACTED
from slipway.redaction.redact import redact_member, redact_patterns
from slipway.telemetry.table import line_fields

_LEVELS: Final = {"exception": "error", "warn": "warning", "fatal": "critical"}
"""Names of methods that are no names of levels."""

_SECOND_US: Final = 1_000_000

_OF_THE_WORK: Final = tuple(each.name for each in line_fields.OF_THE_WORK)
_KNOWN: Final = frozenset(
    each.name
    for each in (
        *line_fields.OF_EVERY_LINE,
        *line_fields.OF_THE_WORK,
        *(line_fields.EXCEPTION, line_fields.CUT, line_fields.LOGGER),
    )
)
"""What these names say is known without being passed. If code passes one all the same, it is shown with `_` at its
end: a line of the project's code cannot pretend to be one of another run."""


class Line:
    """Makes lines of a process. `release` is that of the project; empty if it is not known."""

    def __init__(self, process: str, release: str) -> None:
        self._process, self._release = process, release

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Never raises, whatever the fields are."""
        try:
            return self._line(method, event)
        except Exception as error:
            return self.start(method, f"a line of the log was lost: {class_name(error)}")

    def start(self, method: str, what: object) -> dict[str, Any]:
        """The fields of every line (`line_fields.OF_EVERY_LINE`)."""
        line = {
            "timestamp": now_as_text(),
            "level": _LEVELS.get(method, method),
            "event": what,
            "process": self._process,
        }
        if self._release:
            line["release"] = self._release
        return line

    def _line(self, method: str, event: EventDict) -> dict[str, Any]:
        values = Values()
        what = values.of(event.pop("event", ""))
        line = self.start(method, redact_patterns(what.rstrip()) if type(what) is str else what)
        raised = event.pop("exc_info", None)
        traceback = event.pop("exception", None) if raised is None else _traceback(raised)
        record = event.pop("_record", None)
        event.pop("_from_structlog", None)
        event.pop("color_message", None)  # uvicorn adds a second copy of each message
        if (stack := event.pop("stack_info", None)) is not None:
            event["stack"] = stack
        work = current_work()
        for name in _OF_THE_WORK:
            value = work.get(name)
            if record is None:  # what Slipway passes is about the line, and what a library passes is not ours
                value = event.pop(name, value) or value
            if value is not None:
                line[name] = _shown(name, values.of(value))
        for name, value in event.items():
            shown = values.text(str(name), 256)
            line[f"{shown}_" if shown in line or shown in _KNOWN else shown] = _shown(shown, values.of(value))
        if record is not None:
            line["logger"] = values.text(record.name, 256)
        if traceback is not None:
            line["exception"] = values.text(str(traceback), LONGEST_TRACEBACK)
        if values.are_cut:
            line["cut"] = True
        return line


class _Second:
    """The last second in which a line was logged: to format a date takes longer than to count microseconds."""

    last: tuple[int, str] = (0, "1970-01-01T00:00:00")
    """Its first microsecond since 1970, and its text."""


def now_as_text() -> str:
    """The time, ISO 8601 with microseconds, UTC."""
    now_us = time.time_ns() // 1000
    first_us, text = _Second.last
    if not 0 <= now_us - first_us < _SECOND_US:
        first_us = now_us - now_us % _SECOND_US
        text = datetime.fromtimestamp(first_us // _SECOND_US, UTC).isoformat()[:19]
        _Second.last = first_us, text  # one assignment, because threads log too
    return f"{text}.{str(_SECOND_US + now_us - first_us)[1:]}Z"


def _traceback(raised: object) -> str | None:
    """The traceback of what a log call got as `exc_info`."""
    if isinstance(raised, tuple):
        raised = raised[1]
    elif raised is not None and not is_a(raised, BaseException):
        raised = sys.exc_info()[1] if raised else None
    return traceback_of(raised) if is_a(raised, BaseException) else None  # type: ignore[arg-type]  # `is_a` says it


def _shown(name: str, value: object) -> object:
    """The value of a field, unless its name says that it is secret: by the names of credentials, such as headers that
    are logged, and by the names of the project."""
    return REDACTED if type(value) is str and is_credential_name(name) else redact_member(name, value)
