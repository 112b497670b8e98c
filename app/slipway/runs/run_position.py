"""The place of a run in the order of creation, and the cursor that clients get for it."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from slipway.runs.record import Run

_TIME_BYTES: Final = 8
_LENGTH: Final = _TIME_BYTES + 16
"""A multiple of 3, so Base64 needs no padding."""


@dataclass(frozen=True, slots=True, order=True)
class RunPosition:
    """The place of a run in the order of creation: by time in µs, then by id."""

    created_us: int
    run_id: str

    def cursor(self) -> str:
        """The position as a text for clients, who must not interpret it."""
        packed = self.created_us.to_bytes(_TIME_BYTES, "big", signed=True) + UUID(self.run_id).bytes
        return base64.urlsafe_b64encode(packed).decode()

    @classmethod
    def from_cursor(cls, cursor: str) -> RunPosition:
        """Raises `ValueError` for a text that `cursor` has not returned."""
        try:
            packed = base64.b64decode(cursor, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(cursor) from None
        if len(packed) != _LENGTH:
            raise ValueError(cursor)
        return cls(int.from_bytes(packed[:_TIME_BYTES], "big", signed=True), str(UUID(bytes=packed[_TIME_BYTES:])))

    @classmethod
    def of(cls, run: Run) -> RunPosition:
        return cls(int(run.incarnation), run.run_id)
