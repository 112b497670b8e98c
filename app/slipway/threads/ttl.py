"""The time to live of threads, and what happens when it has passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slipway.clock import iso
from slipway.protocol_types import Strategy
from slipway.redis.hash_fields import Fields
from slipway.runs.scripts import StoredTtl


@dataclass(frozen=True, slots=True)
class ThreadTtl:
    """Counted in minutes from the request that sets it. `delete` deletes the thread with its runs and checkpoints.
    `keep_latest` deletes all checkpoints but the latest of each namespace, and the time starts again."""

    minutes: float
    strategy: Strategy = "delete"

    def stored(self) -> StoredTtl:
        """The form that scripts take."""
        return {"minutes": str(self.minutes), "strategy": self.strategy, "ms": int(self.minutes * 60_000)}


def public_ttl(fields: Fields) -> dict[str, Any] | None:
    """The protocol's `ttl` object of a stored thread; None without a time to live."""
    if "ttl" not in fields:
        return None
    minutes = float(fields["ttl"])
    return {
        "strategy": fields["ttl_strategy"].decode(),
        "ttl_minutes": int(minutes) if minutes.is_integer() else minutes,
        "expires_at": iso(int(fields["expires_us"])),
    }
