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
    """`noun.past_participle`."""
    level: Level
    about: str
    """A sentence: what happened, and what follows from it."""
    fields: tuple[Field, ...] = ()
    """Those that a line has. One without a value is left out, or null."""
    has_exception: bool = False
    """Whether a line has a traceback in the field `exception`."""


def event(level: Level, name: str, about: str, *fields: Field, has_exception: bool = False) -> EventKind:
    """Declares a kind of event."""
    return EventKind(name, level, about, fields, has_exception)
