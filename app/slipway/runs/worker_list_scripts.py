"""The script stub of the list of live workers."""

from __future__ import annotations

from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_WORKER_LIST = load("worker_list")


class WorkerListScripts(ScriptStubs):
    """One round trip each."""

    async def list_worker(self, worker: str, *, is_live: bool, lease_ms: int) -> None:
        """Lists the worker as live for `lease_ms`, or removes it from the list."""
        await self._pipeline.run(_WORKER_LIST, [], self._args(worker=worker, is_live=is_live, lease_ms=lease_ms))
