"""How many streams a client may have open at the same time, in all processes.

Each open stream has a lease, which its process renews. So the slots of a process that was killed are free again when
the leases have expired.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from slipway.errors import StoreUnavailable, TooManyStreams
from slipway.rate_limits.clients import RateClient
from slipway.rate_limits.scripts import RateScripts

log = structlog.get_logger(__name__)

LEASE_S: Final = 15.0
RENEW_EVERY_S: Final = 5.0


class StreamSlots:
    """The streams that this process has open, by client. Without a limit nothing is stored."""

    name = "stream_slots"

    def __init__(self, scripts: RateScripts, most: int | None) -> None:
        self._scripts, self._most = scripts, most
        self._held: dict[str, set[str]] = defaultdict(set)

    @property
    def are_limited(self) -> bool:
        """Whether a client may have only a number of streams."""
        return self._most is not None

    @asynccontextmanager
    async def held(self, client: RateClient) -> AsyncIterator[None]:
        """Inside the block the client has one stream more. Raises `TooManyStreams`. When Redis is unavailable, the
        stream is not counted until the next renewal."""
        if self._most is None:
            yield
            return
        digest, stream = client.digest, secrets.token_hex(8)
        try:
            permitted = await self._scripts.take_stream_slot(
                digest, stream, most=self._most, lease_ms=round(LEASE_S * 1000)
            )
        except StoreUnavailable:
            permitted = True
        if not permitted:
            raise TooManyStreams(self._most)
        self._held[digest].add(stream)
        try:
            yield
        finally:
            self._held[digest].discard(stream)
            if not self._held[digest]:
                del self._held[digest]
            await asyncio.shield(self._release(digest, stream))

    async def _release(self, digest: str, stream: str) -> None:
        try:
            await self._scripts.release_stream_slot(digest, stream)
        except StoreUnavailable:
            log.info("stream_slot.not_released")  # it expires

    async def run(self) -> None:
        """Renews the leases until it is cancelled."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            for digest, streams in tuple(self._held.items()):
                try:
                    await self._scripts.renew_stream_slots(digest, sorted(streams), lease_ms=round(LEASE_S * 1000))
                except StoreUnavailable:
                    log.info("stream_slots.not_renewed")
