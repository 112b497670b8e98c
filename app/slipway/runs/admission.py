"""Admission: whether the memory of Redis has room for what a request stores.

`redis/lua/lib/admission.lua` decides, and describes how. Far below the high-water mark, the script that admits a
request also gives the process a credit: bytes that it may store without asking again. So in most requests nothing is
checked, and near the mark everything is.
"""

from __future__ import annotations

import time
from typing import Final

from slipway.runs.queue_scripts import QueueScripts

CREDIT_S: Final = 0.25
"""Seconds for which a credit is valid."""

BIG_BYTES: Final = 64 * 1024
"""A body of this size is admitted before it is sent to Redis, because even a request that a script rejects takes
memory while it is received."""

STORED_FACTOR: Final = 3
"""The memory that Redis needs for a byte of a body, at most: it may be stored in several forms."""


class Admission:
    """Admits the requests of one process. `mark` is the part of Redis's memory above which requests are rejected."""

    def __init__(self, scripts: QueueScripts, mark: float) -> None:
        self._scripts, self.mark = scripts, mark
        self._credit_bytes, self._credit_until = 0, 0.0

    def spend(self, bytes_to_store: int) -> bool:
        """Whether the credit of this process covers these bytes. If so, they are subtracted from it."""
        if bytes_to_store > self._credit_bytes or time.monotonic() > self._credit_until:
            return False
        self._credit_bytes -= bytes_to_store
        return True

    def add_credit(self, credit_bytes: int) -> None:
        """Replaces the credit by one that Redis has just given."""
        self._credit_bytes, self._credit_until = credit_bytes, time.monotonic() + CREDIT_S

    async def admit(self, body_bytes: int) -> None:
        """Raises `Overloaded` if memory has no room for what a request with this body stores. Takes one round trip,
        none if the credit covers it."""
        bytes_to_store = STORED_FACTOR * body_bytes
        if not self.spend(bytes_to_store):
            self.add_credit(await self._scripts.memory_admit(self.mark, bytes_to_store))
