"""What is stored of one circuit breaker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from slipway.clock import iso
from slipway.redis.hash_fields import Fields

State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class BreakerRecord:
    """A breaker that is open or has failures on record. Times are in ms since 1970, on the clock of Redis."""

    breaker: str
    """`<kind>:<name>`, such as `model:openai:gpt-5`."""
    state: State
    """`open`: no call is made. `half_open`: the next call is the probe, or the probe is in progress. `closed`: calls
    are made; some have failed in a row."""
    failures: int
    """How many calls failed in a row."""
    problem: str
    """The class of the last failure."""
    last_failed_ms: int
    opened_ms: int | None
    """When it was opened. Later failures of a probe do not change it."""
    retry_in_ms: int
    """When the next call may be permitted: 0 unless it is open, or the probe is in progress."""

    @property
    def kind(self) -> str:
        return self.breaker.partition(":")[0]

    @property
    def name(self) -> str:
        return self.breaker.partition(":")[2]

    def public(self) -> dict[str, Any]:
        """The breaker as operators receive it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "state": self.state,
            "failures": self.failures,
            "problem": self.problem,
            "last_failed_at": iso(self.last_failed_ms * 1000),
            "opened_at": None if self.opened_ms is None else iso(self.opened_ms * 1000),
            "retry_in_s": self.retry_in_ms / 1000,
        }


def record_from(breaker: str, fields: Fields, now_ms: int) -> BreakerRecord:
    """The record in the fields of its hash."""
    open_until_ms, probe_until_ms = _number(fields, "open_until_ms"), _number(fields, "probe_until_ms")
    waits_until_ms = open_until_ms if now_ms < open_until_ms else probe_until_ms
    state: State = "closed" if not open_until_ms else "open" if now_ms < open_until_ms else "half_open"
    return BreakerRecord(
        breaker=breaker,
        state=state,
        failures=_number(fields, "count"),
        problem=fields.get("problem", b"").decode(),
        last_failed_ms=_number(fields, "last_failed_ms"),
        opened_ms=_number(fields, "opened_ms") or None,
        retry_in_ms=max(waits_until_ms - now_ms, 0),
    )


def _number(fields: Fields, name: str) -> int:
    return int(fields.get(name, 0))
