"""Strict logs, for tests: a line of Slipway that the table of telemetry does not declare raises.

Switched on by the environment variable `STRICT_SLIPWAY_LOGS`, so that processes which a test starts are strict as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Final

from structlog.typing import EventDict

from slipway.logs.logger import Logger
from slipway.telemetry.table.field import Unit
from slipway.telemetry.table.whole_table import EVENTS

VARIABLE: Final = "STRICT_SLIPWAY_LOGS"

_OUR_PACKAGES: Final = ("slipway", "slipway_workers")
_LOGGERS: Final = ("structlog", Logger.__module__, __name__)
"""Modules between the code that logs and its line."""
_TRACEBACKS: Final = frozenset({"exc_info", "exception"})

_NUMBER: Final = (int, float)
_TYPES: Final[Mapping[Unit, type | tuple[type, ...]]] = {
    Unit.FLAG: bool,
    Unit.NAMES: (list, tuple),
    Unit.MAPPING: dict,
    Unit.COUNT: int,
    Unit.NUMBER: int,
    Unit.BYTES: int,
    Unit.TOKENS: int,
    Unit.SECONDS: _NUMBER,
    Unit.MILLISECONDS: _NUMBER,
    Unit.UNIX_MILLISECONDS: int,
}
"""The types of values by unit; text for all others. None stands for a value that is not known."""


class UndeclaredLine(AssertionError):
    """A line that the table of telemetry does not declare."""


class StrictLogger(Logger):
    """A logger that compares the lines of Slipway's modules with the table."""

    def _is_done(self, method: str, event: object, args: tuple[object, ...], fields: dict[str, Any]) -> bool:
        _check_if_ours(method, event, fields)
        return super()._is_done(method, event, args, fields)

    def _process_event(self, method_name: str, event: str | None, event_kw: dict[str, Any]) -> Any:
        _check_if_ours(method_name, event, event_kw)
        return super()._process_event(method_name, event, event_kw)


def logger_class() -> type[Logger]:
    """The class of the loggers of this process."""
    return StrictLogger if os.environ.get(VARIABLE) else Logger


def _check_if_ours(method: str, event: object, given: EventDict) -> None:
    if _caller().partition(".")[0] in _OUR_PACKAGES:
        _check(method, event, given)


def _caller() -> str:
    """The module that logs."""
    frame = sys._getframe(2)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(_LOGGERS):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__"))


def _check(method: str, event: object, given: EventDict) -> None:
    kind = EVENTS.get(str(event))
    if kind is None:
        raise UndeclaredLine(f"the event {event!r} is not declared in slipway.telemetry.table")
    level = "error" if method == "exception" else method
    if level != kind.level:
        raise UndeclaredLine(f"{event} is declared for the level {kind.level}, and was logged as {level}")
    fields = {each.name: each for each in kind.fields}
    for name, value in given.items():
        if name in _TRACEBACKS:
            if value is not None and not kind.has_exception:
                raise UndeclaredLine(f"{event} is declared without an exception")
        elif name not in fields:
            raise UndeclaredLine(f"{event} has no field {name!r} in slipway.telemetry.table")
        elif value is not None and not isinstance(value, expected := _TYPES.get(fields[name].unit, str)):
            raise UndeclaredLine(f"{event}: {name} is {fields[name].unit}, and {value!r} is no {expected}")
