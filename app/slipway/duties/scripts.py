"""The script stub that assigns exclusive duties to workers."""

from __future__ import annotations

from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_DUTY_ACQUIRE = load("duty_acquire")


class DutyScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def acquire(self, duty: str, worker: str, for_ms: int) -> bool:
        """Assigns the duty to `worker` for `for_ms`, unless another live worker holds it. Returns whether `worker`
        holds it. The holder calls this again to renew it."""
        return bool(await self._pipeline.run(_DUTY_ACQUIRE, [], self._args(duty=duty, worker=worker, for_ms=for_ms)))
