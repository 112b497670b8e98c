"""All handler values, and the table of their members in docs/auth-and-http.md."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from slipway.access.handler_values import assistants, crons, runs, store, threads
from slipway.access.handler_values.base import OPERATIONS, HandlerValue


def _defined_in(module: ModuleType) -> list[type[HandlerValue]]:
    members = [each for name, each in vars(module).items() if not name.startswith("_")]
    return [
        each
        for each in members
        if isinstance(each, type) and issubclass(each, HandlerValue) and each is not HandlerValue
    ]


VALUES: Final = tuple(value for module in (assistants, threads, runs, crons, store) for value in _defined_in(module))
"""An operation has several values if the routes that authorize it need different members."""


def values_table() -> str:
    """The members of every operation as a Markdown table."""
    lines = ["| operation | members |", "|---|---|"]
    for operation in OPERATIONS:
        values = [value for value in VALUES if operation == value.OPERATION]
        names = dict.fromkeys(name for value in values for name in value.model_fields)
        fixed = {name for name in names if all(name in value.FIXED for value in values if name in value.model_fields)}
        members = ", ".join(f"`{name}`{' (fixed)' if name in fixed else ''}" for name in names)
        lines.append(f"| `{operation}` | {members} |")
    return "\n".join(lines) + "\n"
