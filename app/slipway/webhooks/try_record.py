"""The stored record of one try to deliver a webhook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import ormsgpack

from slipway.clock import iso
from slipway.serialization.at_rest import opened, sealed
from slipway.serialization.places import delivery_place

MOST_RECORDS: Final = 50
"""How many tries of a delivery are kept: the last ones."""


@dataclass(frozen=True, slots=True)
class TryRecord:
    """One try. `delivery_claim.lua` stores one without a duration for a try whose process was killed."""

    number: int
    at_us: int
    duration_ms: int | None = None
    status: int | None = None
    """Of the response; None without one."""
    problem: str | None = None
    """Why it failed; None if the receiver accepted the webhook."""
    response: str | None = None
    """The begin of the response's body, without secrets."""

    def stored(self, delivery_id: str) -> bytes:
        members = {
            "number": self.number,
            "at_us": self.at_us,
            "duration_ms": self.duration_ms,
            "status": self.status,
            "problem": self.problem,
            "response": self.response or None,
        }
        packed = ormsgpack.packb({name: value for name, value in members.items() if value is not None})
        return sealed(packed, delivery_place(delivery_id))

    @classmethod
    def from_stored(cls, delivery_id: str, stored: bytes) -> TryRecord:
        """Raises `StoredDataError` for a damaged record."""
        return cls(**ormsgpack.unpackb(opened(stored, delivery_place(delivery_id))))

    def public(self, *, with_response: bool) -> dict[str, Any]:
        """As clients receive it. Owners do not receive the response: they choose the URL, and could otherwise read what
        the network of this server can reach."""
        shown = {
            "number": self.number,
            "at": iso(self.at_us),
            "duration_ms": self.duration_ms,
            "status": self.status,
            "problem": self.problem,
        }
        return shown | ({"response": self.response} if with_response else {})
