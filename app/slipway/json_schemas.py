"""Validates JSON values with JSON schemas: the first problem of a value, and where in the value it is.

A schema comes from a graph, a tool or another server. So a reference to another document is never followed, and a
pattern that needs too many steps does not match.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

_MOST_BACKTRACKS: Final = 100_000
_CHOICES: Final = frozenset({"const", "enum"})
_MOST_CHARACTERS: Final = 300


class InvalidSchema(ValueError):
    """The schema is not a valid JSON schema, or refers to another document. The message says why."""


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """Why a value does not match its schema. `path` are the names and indexes that lead to the part of the value. The
    last one is the missing or unexpected member, if that is the problem."""

    path: tuple[str | int, ...]
    message: str


class SchemaValidator:
    """A compiled schema. Raises `InvalidSchema`."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        # not at the top: every command imports this module, and few validate
        from jsonschema_rs import FancyRegexOptions, ValidationError, validator_for

        patterns = FancyRegexOptions(backtrack_limit=_MOST_BACKTRACKS)
        try:
            self._validator = validator_for(dict(schema), offline=True, pattern_options=patterns)
        except ValueError as error:
            message = error.message if isinstance(error, ValidationError) else str(error)
            raise InvalidSchema(_short(message)) from None

    def problem(self, value: Any) -> SchemaProblem | None:
        """The first problem of a JSON value. None if it matches."""
        try:
            error = next(iter(self._validator.iter_errors(value)), None)
        except (UnicodeEncodeError, ValueError) as refused:
            return SchemaProblem((), f"cannot be read as JSON: {refused}")
        return None if error is None else _problem(_most_specific(error))


def joined_path(path: Sequence[str | int], start: str = "") -> str:
    """A path as in the errors of the API, such as `decisions[0].args.amount`. `start` is what it begins with."""
    joined = start
    for part in path:
        joined += f"[{part}]" if isinstance(part, int) else f".{part}" if joined else part
    return joined


def _problem(error: ValidationError) -> SchemaProblem:
    kind, path = error.kind, tuple(error.instance_path)
    match kind.name:
        case "required":
            return SchemaProblem((*path, str(kind.value)), "is missing")
        case "additionalProperties" | "unevaluatedProperties":
            return SchemaProblem((*path, str(kind.value[0])), "is not a member that the schema has")
        case _:
            return SchemaProblem(path, _short(error.message))


def _most_specific(error: ValidationError) -> ValidationError:
    """The error of the alternative that the value is most likely meant to be, if the schema has alternatives: of those
    whose constants the members of the value have, the one with the fewest errors."""
    alternatives = getattr(error.kind, "context", None)
    if not alternatives:
        return error
    depth = len(error.instance_path) + 1
    likely = min(alternatives, key=lambda errors: (_other_choices(errors, depth), len(errors)))
    return _most_specific(likely[0]) if likely else error


def _other_choices(errors: Sequence[ValidationError], depth: int) -> int:
    """The number of members that have another value than the schema names. `depth` is the length of their paths."""
    return sum(error.kind.name in _CHOICES and len(error.instance_path) == depth for error in errors)


def _short(message: str) -> str:
    return message if len(message) <= _MOST_CHARACTERS else f"{message[: _MOST_CHARACTERS - 1]}…"
