"""Reads whether the API key behind a session or a ticket is still valid."""

from __future__ import annotations

from slipway.api_keys.record import ApiKey, key_from
from slipway.api_keys.scripts import ApiKeyScripts
from slipway.clock import Clock, microseconds_of


class ActiveKeys:
    """The API keys that are neither revoked nor expired."""

    def __init__(self, scripts: ApiKeyScripts, clock: Clock) -> None:
        self._scripts, self._clock = scripts, clock

    async def find(self, key_id: str) -> ApiKey | None:
        """None if the key is not valid any more. One round trip."""
        fields = await self._scripts.read(key_id)
        key = None if fields is None else key_from(key_id, fields)
        return key if key is not None and key.state(self.now_us()) == "active" else None

    def now_us(self) -> int:
        return microseconds_of(self._clock.now())
