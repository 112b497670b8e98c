"""What a check found: a stable code, how bad it is, and a sentence that says what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """`error` keeps a process from being ready; `warning` is named and nothing more."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `code` is stable, such as `store.evicts`."""

    code: str
    level: Level
    detail: str

    def public(self) -> dict[str, str]:
        """As /readyz and `slipway doctor` show it."""
        return {"code": self.code, "level": self.level.value, "detail": self.detail}
