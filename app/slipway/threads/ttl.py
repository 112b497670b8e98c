"""How long threads live: minutes, counted from when it is said, and what is done then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slipway.clock import iso
from slipway.protocol_types import Strategy
from slipway.redis.hash_fields import Fields
from slipway.runs.scripts import Ttl


@dataclass(frozen=True, slots=True)
class ThreadTtl:
    """`delete` removes the thread with all that belongs to it, `keep_latest` all checkpoints but the latest; then the
    time begins anew."""

    minutes: float
    strategy: Strategy = "delete"

    def stored(self) -> Ttl:
        """As the scripts take it."""
        return {"minutes": str(self.minutes), "strategy": self.strategy, "ms": int(self.minutes * 60_000)}


def shown(held: Fields) -> dict[str, Any] | None:
    """The protocol's `ttl` of a stored thread, if it has one."""
    if "ttl" not in held:
        return None
    minutes = float(held["ttl"])
    return {
        "strategy": held["ttl_strategy"].decode(),
        "ttl_minutes": int(minutes) if minutes.is_integer() else minutes,
        "expires_at": iso(int(held["expires_us"])),
    }
