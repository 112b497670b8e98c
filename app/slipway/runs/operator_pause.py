"""The request of an operator to pause a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class OperatorPause:
    """Who has paused a run, when, and why."""

    by: str
    """The identity of the operator."""
    at: str
    """ISO 8601."""
    reason: str | None = None
    """The operator's text."""

    def public(self) -> dict[str, Any]:
        """The member `pause` of the run."""
        return asdict(self)

    def stored(self) -> str:
        """The field of the record, as JSON. A member that is None is left out, because Lua would read it as a value."""
        return orjson.dumps({name: value for name, value in asdict(self).items() if value is not None}).decode()


def operator_pause_from(stored: bytes) -> OperatorPause:
    """The request of a stored field."""
    return OperatorPause(**orjson.loads(stored))
