"""Fields: the named values of log lines, and the labels of metrics."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """What a value is measured in, or what kind of value it is."""

    TEXT = "text"
    NAME = "name"
    """A word that somebody chose: of a graph, a node, a tool."""
    ID = "id"
    CODE = "code"
    """A stable word from a fixed set."""
    FLAG = "true or false"
    NAMES = "list of names"
    MAPPING = "object"
    TIME = "time"
    """ISO 8601, UTC."""
    UNIX_MILLISECONDS = "ms since 1970"
    COUNT = "count"
    NUMBER = "number"
    """A position, or a version that is a number."""
    SECONDS = "s"
    MILLISECONDS = "ms"
    BYTES = "bytes"
    TOKENS = "tokens"
    NANODOLLARS = "billionths of a US dollar"
    RATIO = "ratio"
    """0 to 1."""


@dataclass(frozen=True, slots=True)
class Field:
    """A value of log lines, or a label of metrics. All that have the same name are the same field."""

    name: str
    unit: Unit
    about: str
    """A phrase that completes "The value is …", without a full stop."""
