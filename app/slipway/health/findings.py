"""Health findings: a stable code, a level, and a sentence that says what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """An `error` makes `/readyz` respond 503; a `warning` is only reported."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a health check. `code` is stable, such as `redis.evicts`."""

    code: str
    level: Level
    detail: str

    def public(self) -> dict[str, str]:
        """The members in `/readyz`."""
        return {"code": self.code, "level": self.level.value, "detail": self.detail}
