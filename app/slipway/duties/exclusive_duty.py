"""The base of duties that one worker at a time performs for the whole deployment.

Election: before each round a worker acquires the key of the duty in Redis, or extends its lifetime. The key expires
after `KEY_TTL_ROUNDS` intervals. So if the worker dies, another worker acquires the duty after at most that time; at
once, if the first is no longer listed among the live workers.
"""

from __future__ import annotations

from typing import Final

from slipway.duties.duty import Duty
from slipway.duties.scripts import DutyScripts
from slipway.services import Services

KEY_TTL_ROUNDS: Final = 2


class ExclusiveDuty(Duty):
    """A duty that one worker at a time performs. `name` is also the name of its key."""

    def __init__(self, services: Services, interval_s: float) -> None:
        super().__init__(interval_s)
        assert services.lease_renewer is not None
        self._worker = services.lease_renewer.worker
        self._election = DutyScripts(services.pipeline, services.shards.processes)

    async def may_run(self) -> bool:
        return await self.acquire()

    async def acquire(self) -> bool:
        """Acquires the duty, or extends its lifetime. Returns whether this worker performs it."""
        return await self._election.acquire(self.name, self._worker, int(KEY_TTL_ROUNDS * self.interval_s * 1000))
