"""Operations of operators on one run, on any thread.

Each is one script, so it takes effect whole or not at all, and its entry in the audit trail is part of it. A repeated
request changes nothing and returns the run as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from slipway.clock import Clock
from slipway.errors import Conflict, InvalidRequest, NotFound
from slipway.run_operations.refusals import refusal
from slipway.runs.cancel_reasons import Action, by_operator
from slipway.runs.operator_pause import OperatorPause
from slipway.runs.record import Phase, Run
from slipway.runs.script_results import (
    CancelResult,
    PauseResult,
    PhaseAfter,
    RunHasEnded,
    RunIsCancelled,
    RunNotFound,
    SwitchIsOff,
    VersionUnknown,
)
from slipway.runs.scripts import RunScripts
from slipway.runs.store import RunStore
from slipway.switches.record import switch_from


@dataclass(frozen=True, slots=True)
class Operator:
    """Who operates a run, and why."""

    by: str
    """The actor in the audit trail."""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class OperatedRun:
    """The run after the operation. `changed` is False if an earlier request had done the same."""

    run: Run
    changed: bool


class RunOperations:
    """Each method raises `NotFound` for an unknown run, and `Conflict` if the run is in a phase that does not permit
    the operation."""

    def __init__(self, runs: RunStore, scripts: RunScripts, clock: Clock, *, event_ttl_s: int) -> None:
        self._runs, self._scripts, self._clock, self._event_ttl_s = runs, scripts, clock, event_ttl_s

    async def pause(self, run_id: str, operator: Operator) -> OperatedRun:
        """Pauses the run: at once if it waits, otherwise before its next superstep. Until then its phase is
        `running`."""
        pause = OperatorPause(operator.by, self._clock.now().isoformat(timespec="seconds"), operator.reason)
        return await after_script(self._runs, run_id, await self._scripts.run_pause(run_id, pause), "be paused")

    async def resume(self, run_id: str, operator: Operator, version: str | None = None) -> OperatedRun:
        """Queues a paused run. A run that is not paused stays as it is, as does one that is paused before a switch; if
        no operator has paused that one as well, this raises `Conflict`. With `version` it continues on this version of
        its graph and on no other; raises `InvalidRequest` for a version that no process has ever served, and `Conflict`
        for a run that is not paused, unless it has the version already."""
        details = None if version is None else {"version": version}
        result = await self._scripts.run_resume(
            run_id, by=operator.by, reason=operator.reason, version=version, details=details
        )
        operated = await after_script(self._runs, run_id, result, "be resumed")
        if version is not None and not operated.changed and operated.run.version != version:
            raise Conflict(f"run {run_id} cannot be resumed on version {version}: it is not paused, so pause it first")
        return operated

    async def cancel(self, run_id: str, operator: Operator, action: Action = Action.INTERRUPT) -> OperatedRun | None:
        """Cancels the run as `RunStore.cancel` does. None if the action is `rollback` and the run is deleted."""
        run = await self._runs.find(run_id)
        result = await self._scripts.run_cancel(
            run_id,
            run.thread_id,
            action=action.value,
            cause=by_operator(operator.by),
            reason=operator.reason,
            event_ttl_s=self._event_ttl_s,
            by=operator.by,
        )
        if result is CancelResult.NOT_FOUND:
            raise NotFound("run", run_id)
        try:
            run = await self._runs.find(run_id)
        except NotFound:
            return None
        if result is CancelResult.ALREADY_ENDED and run.phase is not Phase.CANCELLED:
            raise await refusal(self._runs, run, "be cancelled")
        return OperatedRun(run, changed=result is CancelResult.ACCEPTED)


async def after_script(runs: RunStore, run_id: str, result: PauseResult, operation: str) -> OperatedRun:
    """The run after a script that pauses or resumes it. `operation` completes the sentence "the run cannot …"."""
    match result:
        case RunNotFound():
            raise NotFound("run", run_id)
        case RunHasEnded():
            raise await refusal(runs, await runs.find(run_id), operation)
        case RunIsCancelled():
            raise Conflict(f"run {run_id} cannot {operation}: it is being cancelled")
        case VersionUnknown(graph_id):
            raise InvalidRequest(
                "version",
                f"no process has ever served this version of graph {graph_id!r}: "
                f"`slipway versions {graph_id}` lists the known ones",
            )
        case SwitchIsOff(stored):
            switch = switch_from(stored)
            message = f"run {run_id} cannot {operation}: {switch}; to continue: {switch.target.command_to_enable}"
            raise Conflict(message, switch=switch.public())
        case PhaseAfter(changed=changed):
            return OperatedRun(await runs.find(run_id), changed)
