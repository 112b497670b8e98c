"""Kinds of events: what a line of the log says happened."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from slipway.telemetry.table.field import Field


class Level(StrEnum):
    """How much an event matters to an operator."""

    DEBUG = "debug"
    """For developers of Slipway."""
    INFO = "info"
    """Something happened as it should."""
    WARNING = "warning"
    """Something failed, and Slipway or a client goes on."""
    ERROR = "error"
    """Something failed, and somebody should look at it."""


@dataclass(frozen=True, slots=True, eq=False)
class EventKind:
    """A line of the log. Its fields are beside those that `line_fields` describes, which every line may have."""

    name: str
    """`noun.what_happened`, stable."""
    level: Level
    about: str
    """A sentence: what happened, and what follows from it."""
    fields: tuple[Field, ...] = ()
    """Those that a line has. One without a value is left out, or null."""
    has_exception: bool = False
    """Whether a line has a traceback in the field `exception`."""


def debug(name: str, about: str, *fields: Field, has_exception: bool = False) -> EventKind:
    """Declares an event that only developers of Slipway want to know."""
    return EventKind(name, Level.DEBUG, about, fields, has_exception)


def info(name: str, about: str, *fields: Field, has_exception: bool = False) -> EventKind:
    """Declares an event that is as it should be."""
    return EventKind(name, Level.INFO, about, fields, has_exception)


def warning(name: str, about: str, *fields: Field, has_exception: bool = False) -> EventKind:
    """Declares a failure with which Slipway or a client goes on."""
    return EventKind(name, Level.WARNING, about, fields, has_exception)


def error(name: str, about: str, *fields: Field, has_exception: bool = False) -> EventKind:
    """Declares a failure that somebody should look at."""
    return EventKind(name, Level.ERROR, about, fields, has_exception)
