"""The script stub of the meter."""

from __future__ import annotations

from slipway.redis.script_source import load
from slipway.redis.script_stubs import RecordScriptStubs
from slipway.runs.record import Run

_METER_RESERVE = load("meter_reserve")


class MeterScripts(RecordScriptStubs):
    """One round trip each."""

    async def reserve(self, run: Run, metered: str) -> bool:
        """Stores what the chain has used, with what is reserved, before a call is made. False if the attempt no longer
        owns its run: then nothing was stored."""
        arguments = self._of_run(run.run_id, attempt=run.attempt, incarnation=run.incarnation, metered=metered)
        return bool(await self._pipeline.run(_METER_RESERVE, [], arguments))
