"""The script stub of stored traces."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_TRACE_TRIM = load("trace_trim")


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The spans of how many runs were deleted because of their age, and of how many others because all had more bytes
    than they may have. `more`: further ones are due."""

    expired: int
    displaced: int
    more: bool


class TraceScripts(ScriptStubs):
    """Deletes spans, in one round trip."""

    async def trim(self, *, retention_ms: int, max_bytes: int, limit: int) -> Trimmed:
        """Deletes the spans of at most `limit` runs."""
        arguments = self._args(retention_ms=retention_ms, max_bytes=max_bytes, limit=limit)
        expired, displaced, more = await self._pipeline.run(_TRACE_TRIM, [], arguments)
        return Trimmed(int(expired), int(displaced), more == b"1")
