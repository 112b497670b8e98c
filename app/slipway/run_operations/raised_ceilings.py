"""Raising ceilings of one run: what an operator does when a run has reached one and should continue all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slipway.accounting.limits import Limits, parse_limits
from slipway.errors import Conflict, InvalidRequest, NotFound
from slipway.run_operations.operations import OperatedRun, Operator, RunOperations
from slipway.run_operations.refusals import refusal
from slipway.run_operations.repairs import RunRepairs
from slipway.runs.record import Phase
from slipway.runs.scripts import RunScripts
from slipway.runs.store import RunStore

_PATH: Final = "limits"


@dataclass(frozen=True, slots=True)
class CeilingRaises:
    """Raises ceilings of runs."""

    runs: RunStore
    scripts: RunScripts
    operations: RunOperations
    repairs: RunRepairs

    async def raise_ceilings(self, run_id: str, limits: Limits, operator: Operator, *, resume: bool) -> OperatedRun:
        """Raises these ceilings of the run, and of the runs that continue its chain, above those of its graph:
        `max_node_visits` with `max_steps`, if both are equal and only `max_steps` is named. With
        `resume`, then continues it: a paused run is resumed, and one that failed or was cancelled is retried; the
        result is the run that continues. A repeated request changes nothing.

        Raises `NotFound`, `InvalidRequest` for an unknown ceiling and for a limit below the run's own, and `Conflict`
        for a run that executes (pause it first), has completed, or was answered or retried by another run."""
        limits = parse_limits(limits, _PATH)
        if not limits:
            raise InvalidRequest(_PATH, "names no ceiling")
        outcome, detail = await self.scripts.run_raise_ceilings(run_id, limits, by=operator.by, reason=operator.reason)
        match outcome:
            case "not_found":
                raise NotFound("run", run_id)
            case "running":
                raise Conflict(f"run {run_id} executes, so its ceilings cannot be raised: pause it first")
            case "ended":
                why = "it has completed, so nothing continues its chain"
                raise await refusal(self.runs, await self.runs.find(run_id), "have other ceilings", why)
            case "lower":
                limit = (await self.runs.find(run_id)).ceilings[detail]
                raise InvalidRequest(f"{_PATH}.{detail}", f"is below the limit of the run, {limit:.15g}")
            case "unlimited":
                raise InvalidRequest(f"{_PATH}.{detail}", "the run has no such limit that could be raised")
        changed = detail == "1"
        run = await self.runs.find(run_id)
        if resume and run.phase is Phase.PAUSED:
            return OperatedRun((await self.operations.resume(run_id, operator)).run, changed)
        if resume and run.phase in (Phase.FAILED, Phase.CANCELLED):
            return OperatedRun((await self.repairs.retry(run_id, operator)).run, changed)
        return OperatedRun(run, changed)
