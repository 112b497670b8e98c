"""Moves the thread of a run to the version for which the run was claimed, before the graph executes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from slipway.execution.attempt_outcome import Outcome, StopReason
from slipway.execution.run_input import StartPlan
from slipway.graph_versions.pin import Pin
from slipway.graphs.interface import Graph, Graphs
from slipway.graphs.verdict import Verdict, VerdictKind
from slipway.runs.held import OwnPause, held_by
from slipway.runs.record import Run
from slipway.thread_moves.mover import ThreadMover
from slipway.thread_moves.record import sentence_of


class LiveWorkers(Protocol):
    """Which versions live workers serve."""

    async def continued_on(self, graph_id: str, version: str, /) -> str | None:
        """The version on which live workers continue threads of `version` without a verdict; None if there is none."""
        ...


class ThreadHeld(Exception):
    """The version must not continue the thread. The run is paused, or continues on the `version` of its thread."""

    def __init__(self, reason: str, pause: OwnPause | None, version: str | None) -> None:
        super().__init__(reason)
        self.outcome = Outcome(None, StopReason.HOLD, pause=pause, version=version, problem=reason)


@dataclass(frozen=True, slots=True)
class ThreadMoving:
    """Moves threads for the attempts of this process."""

    mover: ThreadMover
    graphs: Graphs
    workers: LiveWorkers

    async def move(self, run: Run, graph: Graph, plan: StartPlan) -> str | None:
        """Moves the thread if the version of the run is another one than that of the thread or, for a run that starts
        from an earlier checkpoint, than the one that wrote the checkpoint. `graph` is that of the version of the run,
        and `plan` says how the run starts. Returns the id of the checkpoint from which it starts instead, None if that
        stays. Raises `ThreadHeld` if the version must not continue the thread, and `Fenced`."""
        names_checkpoint = bool(plan.checkpoint.get("checkpoint_id"))
        if run.version is None or not (names_checkpoint or run.pinned_version is not None):
            return None
        new = Pin(run.version, self.graphs.version(run.graph_id, run.version).schema)
        if names_checkpoint:
            fork = await self.mover.fork_for_attempt(
                run, graph, new, plan.checkpoint, before_input=plan.has_input, replays=plan.replays
            )
            if fork.verdict.kind is VerdictKind.HOLD:
                await self._hold(run, fork.verdict, fork.old.version)
            return fork.start
        verdict = await self.mover.move_for_attempt(run, graph, new, before_input=plan.has_input)
        if verdict.kind is VerdictKind.HOLD:
            await self._hold(run, verdict, run.pinned_version or "")
        return None

    async def hold_for_targets(self, run: Run, missing: Sequence[str], problem: str) -> None:
        """Raises `ThreadHeld` if the command of the run goes to nodes that the version of its thread has, and the one
        of the run lacks. `problem` says so."""
        verdict = await self.mover.verdict_of_targets(run, missing, problem)
        if verdict is not None:
            await self._hold(run, verdict, run.pinned_version or "")

    async def _hold(self, run: Run, verdict: Verdict, old: str) -> None:
        new = run.version or ""
        if old not in ("", new) and not run.version_fixed:
            version = await self.workers.continued_on(run.graph_id, old)
            if version not in (None, new):
                raise ThreadHeld(f"continues on version {version}: {sentence_of(verdict)}", None, version)
        pause = held_by(verdict, run.run_id, old, new)
        raise ThreadHeld(pause.reason, pause, None)
