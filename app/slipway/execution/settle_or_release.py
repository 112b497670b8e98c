"""Settles or releases the run of one attempt. This is the last write of every execution, however the execution
ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog
from langgraph.types import StateSnapshot

from slipway import failpoints
from slipway.accounting.usage import Usage
from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.errors import Fenced, StoreUnavailable
from slipway.exception_text import is_a, traceback_of
from slipway.execution.attempt_outcome import LOST, Outcome, StopReason
from slipway.execution.failure_from_exception import failure_of
from slipway.execution.stream_observer import StreamObserver
from slipway.execution.thread_summaries import summary_from_snapshot, summary_from_stream
from slipway.graphs.interface import Graph, Graphs
from slipway.reviews.opening import opened_reviews
from slipway.rollouts.record import Ramp
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.cancel_reasons import Action
from slipway.runs.failure import Failure
from slipway.runs.record import Phase
from slipway.runs.review_arguments import OpenedReview
from slipway.runs.script_results import CancelRequested, Released, Settled, SettleResult
from slipway.runs.settlement import EMPTY_SUMMARY, Release, Settlement, ThreadSummary
from slipway.threads.state_reader import read_state

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Ending:
    """The phase and the failure with which the run will end, and what it will write to the record of its thread."""

    phase: Phase
    failure: Failure | None
    thread: ThreadSummary

    @property
    def outcome(self) -> Outcome:
        return Outcome(self.phase, StopReason.CANCEL if self.phase is Phase.CANCELLED else None, self.failure)


@dataclass(frozen=True, slots=True)
class RunSettler:
    """Settles or releases the run of one attempt. `usage` and `observer` are those of the execution."""

    writer: AttemptWriter
    checkpointer: BaseCheckpointer
    usage: Usage
    observer: StreamObserver
    event_ttl_s: int
    graphs: Graphs
    ramp: Callable[[], Ramp | None] = lambda: None
    """The ramp of the graph, if one of its versions is ramping now."""

    async def settle_or_release(self, outcome: Outcome, graph: Graph | None) -> Outcome:
        """Settles or releases the run according to `outcome`. Returns the actual outcome, which differs if a cancel
        request came first, if the state cannot be read, or if the run was lost. An unexpected exception fails the run
        at once, because another attempt would repeat the effects of the graph and then fail in the same way."""
        try:
            return await self._write_outcome(outcome, graph)
        except BaseException as error:
            if self._is_process_fault(error):
                raise
            log.error("settle.failed", run=self.writer.run.run_id, exception=traceback_of(error))
            ending = _Ending(Phase.FAILED, _unexpected_failure(error), EMPTY_SUMMARY)
            return ending.outcome if isinstance(await self._settle(ending), Settled) else LOST

    async def _write_outcome(self, outcome: Outcome, graph: Graph | None) -> Outcome:
        try:
            if outcome.stop is StopReason.LOST:
                return outcome
            failpoints.reach("release" if outcome.phase is None else "before_settle")
            if outcome.phase is None:
                released = await self._release(outcome)
                return LOST if released is None else replace(outcome, released=released)
            ending, result = await self._settle_as(outcome.phase, outcome.failure, graph)
            if isinstance(result, CancelRequested):
                ending, result = await self._settle_as(Phase.CANCELLED, None, graph)
            failpoints.reach("after_settle")
            return ending.outcome if isinstance(result, Settled) else LOST
        except Fenced:
            return LOST
        except StoreUnavailable as error:
            return Outcome(None, StopReason.LOST, problem=str(error))

    def _is_process_fault(self, error: BaseException) -> bool:
        """Whether the error means that this process cannot or must not settle the run. Exceptions of the same classes
        that the graph raised do not count."""
        if is_a(error, asyncio.CancelledError):
            task = asyncio.current_task()
            return task is not None and task.cancelling() > 0
        return type(error) is StoreUnavailable or (is_a(error, Fenced) and self.writer.is_fenced)

    async def _release(self, outcome: Outcome) -> Released | None:
        return await self.writer.release(
            Release(
                reason=outcome.problem or "released by a process that stops",
                usage=self.usage.stored(),
                announce=outcome.repeats_superstep,
                switch=outcome.switch,
                pause=outcome.pause,
                version=outcome.version,
            )
        )

    async def _settle_as(
        self, phase: Phase, failure: Failure | None, graph: Graph | None
    ) -> tuple[_Ending, SettleResult]:
        if self._is_rollback(phase):
            # This write comes before the checkpoints are deleted, so that an attempt that no longer owns its run is
            # fenced here. They are found by the run id alone, and another run may have this id now.
            self.writer.store_usage(self.usage.stored())
            await self.checkpointer.adelete_for_runs([self.writer.run.run_id])
        ending = await self._ending(phase, failure, graph)
        return ending, await self._settle(ending)

    def _is_rollback(self, phase: Phase) -> bool:
        return phase is Phase.CANCELLED and self.writer.cancel is Action.ROLLBACK

    async def _settle(self, ending: _Ending) -> SettleResult:
        has_result = ending.failure is None and ending.phase is not Phase.CANCELLED
        return await self.writer.settle(
            Settlement(
                ending.phase,
                usage=self.usage.stored(),
                event_ttl_s=self.event_ttl_s,
                result=await self.observer.result() if has_result else b"",
                error=None if ending.failure is None else ending.failure.run_error(self.writer.number),
                thread=ending.thread,
                rollback=self._is_rollback(ending.phase),
                delete_calls=ending.phase is Phase.COMPLETED and self.writer.may_have_calls,
                reviews=self._reviews(ending),
                ramp=self.ramp(),
            )
        )

    def _reviews(self, ending: _Ending) -> Sequence[OpenedReview]:
        if ending.phase is not Phase.WAITING_FOR_APPROVAL or not ending.thread.questions:
            return ()
        policies = self.graphs.spec(self.writer.run.graph_id).reviews
        return opened_reviews(self.writer.run, ending.thread.questions, policies, self.writer.gateway_questions)

    async def _ending(self, phase: Phase, failure: Failure | None, graph: Graph | None) -> _Ending:
        """Adds what is written to the record of the thread. A state that cannot be read or encoded fails the run,
        because another attempt would fail in the same way; then the values in the record remain unchanged."""
        try:
            return _Ending(phase, failure, await self._thread_summary(phase, graph))
        except BaseException as error:
            if self._is_process_fault(error):
                raise
            log.error("state.not_stored", run=self.writer.run.run_id, exception=traceback_of(error))
            if phase is Phase.CANCELLED:
                return _Ending(phase, failure, EMPTY_SUMMARY)
            return _Ending(Phase.FAILED, failure or _unexpected_failure(error), EMPTY_SUMMARY)

    async def _thread_summary(self, phase: Phase, graph: Graph | None) -> ThreadSummary:
        """Built from the last state in the stream; from the newest checkpoint if the run was stopped before its end, or
        if the graph streams only a part of its state."""
        if graph is None:
            return EMPTY_SUMMARY
        returned = phase in (Phase.COMPLETED, Phase.WAITING_FOR_APPROVAL) and self.observer.received_values
        if returned and graph.output_channels == graph.stream_channels_asis:
            return await summary_from_stream(self.observer)
        return await summary_from_snapshot(await read_snapshot(graph, self.writer.run.thread_id))


async def read_snapshot(graph: Graph, thread_id: str) -> StateSnapshot:
    return await read_state(graph, {"configurable": {"thread_id": thread_id}})


def _unexpected_failure(error: BaseException) -> Failure:
    return failure_of(error, ceiling_hit=None, node=None, node_completed=True)
