"""One attempt at a run, as named steps: claim (`claims`), load, guard, stream, settle, report.

    load    the graph, its checkpointer under the attempt's fencing token, and where to start
    guard   ceilings and timers
    stream  run the graph; every chunk becomes events in the same group of writes as the checkpoints beside it
    settle  one script: phase, result, thread state, last events, lease, the thread's next run
    report  a log line

The end of an attempt is one of a closed set (`outcomes.Outcome`). Why it was stopped is a value
(`outcomes.StopReason`): a cancel, a ceiling's timer, a drain, or the loss of the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphDrained, GraphRecursionError
from langgraph.runtime import RunControl
from langgraph.store.base import BaseStore
from langgraph.types import StateSnapshot

from slipway import failpoints
from slipway.ceilings import Ceilings, Usage
from slipway.checkpoints.thread_saver import ThreadSaver
from slipway.errors import Fenced, StoreUnavailable
from slipway.exception_text import is_a, traceback_of
from slipway.execution.ceiling_guard import CeilingGuard, count_retries
from slipway.execution.contained_errors import contain_errors
from slipway.execution.failures import Failure, failure_of
from slipway.execution.frames import FrameEncoder, frame
from slipway.execution.outcomes import (
    CANCELLED,
    DRAINED,
    EMPTY_SUMMARY,
    LOST,
    Outcome,
    StopReason,
    StreamObserver,
    ThreadSummary,
)
from slipway.execution.replay_filter import LogEntry, ReplayFilter
from slipway.execution.run_input import StartPlan, bound_config, config_of, context_of, plan_start
from slipway.execution.stream import stream_graph
from slipway.graphs.describe import name_of
from slipway.graphs.served_graphs import Graph, Graphs, with_checkpointer
from slipway.redis.keys import Keys
from slipway.runs.attempt import Attempt
from slipway.runs.cancel_reasons import Action
from slipway.runs.crash_proof import SuspectProgress
from slipway.runs.record import Phase, Run, status_of
from slipway.runs.script_results import CancelRequested, Settled, SettleResult
from slipway.serialization.json_encoding import dumps
from slipway.sse_frames import encode_frame
from slipway.threads.state_reader import read_state

log = structlog.get_logger(__name__)


class Execution:
    """One attempt. Make it, `execute` it; `drain`, and the attempt itself, may stop it meanwhile. `on_cleared` is
    called when a run with which a worker died gets further than where it died."""

    def __init__(
        self,
        attempt: Attempt,
        graphs: Graphs,
        checkpointer: ThreadSaver,
        keys: Keys,
        *,
        event_ttl_s: int,
        store: BaseStore | None = None,
        on_cleared: Callable[[Run], None] = lambda run: None,
    ) -> None:
        self.attempt, self.run = attempt, attempt.run
        self._graphs, self._keys, self._event_ttl_s = graphs, keys, event_ttl_s
        fresh, budget = self.run.thread_id if self.run.fresh else None, self.run.ceilings.get("max_state_bytes")
        self._checkpointer = checkpointer.through(
            attempt, fresh_thread=fresh, max_thread_bytes=None if budget is None else int(budget)
        )
        self._store = store
        self._suspect_progress = SuspectProgress(attempt, keys, on_cleared)
        self._control = RunControl()
        self._stop: StopReason | None = StopReason.CANCEL if attempt.cancel else None
        self._working: asyncio.Task[Any] | None = None
        self._observer = StreamObserver()
        self._ceilings = Ceilings(self.run.ceilings, Usage.of(self.run.usage))
        self._guard = CeilingGuard(self._ceilings, lambda: self._stop_with(StopReason.CEILING))
        self._graph: Graph | None = None
        self._config: RunnableConfig = {}
        self._plan = StartPlan(None, {}, False)
        attempt.on_stop = self._on_attempt_stopped

    async def execute(self) -> None:
        """Run the attempt to its end, whatever that is. Never raises for what the graph does."""
        contain_errors()
        async with AsyncExitStack() as resources:
            ended_by = await self._run_work(resources)
            outcome = await self._finish(ended_by)
        self._log_outcome(outcome)

    @property
    def drain_requested(self) -> bool:
        return self._control.drain_requested

    @property
    def usage(self) -> Usage:
        """What the chain has used so far."""
        return self._ceilings.usage

    def drain(self) -> None:
        """StopReason at the next superstep and hand the run back."""
        self._control.request_drain()

    def stop_now(self) -> None:
        """StopReason now and hand the run back; the superstep in flight is done again by the next attempt."""
        self._stop_with(StopReason.DRAIN)

    def _on_attempt_stopped(self, action: Action | None) -> None:
        self._stop_with(StopReason.LOST if action is None else StopReason.CANCEL)

    def _stop_with(self, why: StopReason) -> None:
        if self._stop is None:
            self._stop = why
        if self._working is not None:
            self._working.cancel()

    async def _run_work(self, resources: AsyncExitStack) -> BaseException | None:
        """Do the work; what ended it early, if anything did. It is done in this very task, for a task of its own would
        begin a turn of the event loop later. Our own code says why (`_stop_with`) before it cancels this task. A cancel
        from anywhere else is by code of the graph that runs in this task, and ends the run like an error of a node."""
        self._working = task = asyncio.current_task()
        assert task is not None
        try:
            await self._work(resources)
        except BaseException as error:  # also the `SystemExit` of a node, which must not end the process
            return error
        finally:
            self._working = None
            while task.cancelling():
                task.uncancel()
        return None

    # load, guard, stream

    async def _work(self, resources: AsyncExitStack) -> None:
        if self._stop is StopReason.CANCEL:
            await self._load(resources)
            return
        self._guard.start()
        try:
            failpoints.reach("guard")
            await self._load(resources)
            failpoints.reach("load")
            await self._stream()
            await self._check_breakpoint()
        finally:
            self._guard.stop()

    async def _load(self, resources: AsyncExitStack) -> None:
        newest = None
        if self.run.attempt > 1:
            newest = await self._checkpointer.latest(self.run.thread_id)
        self._plan = plan_start(self.run, newest)
        self._config = config_of(self.run, self._plan.checkpoint, self._ceilings.steps_left)
        self._append_limit_notice()
        opened = self._graphs.open(self.run.graph_id, self._config, "threads.create_run", context_of(self.run))
        graph = await resources.enter_async_context(opened)
        name = name_of(graph, self.run.graph_id)
        self._config |= bound_config(self.run, graph.config or {}, name, self._ceilings.steps_left)
        count_retries(graph)
        self._guard.watch(graph)
        self._graph = with_checkpointer(graph, self._checkpointer, self._store)

    def _append_limit_notice(self) -> None:
        asked = (self.run.options.config or {}).get("recursion_limit")
        limit = int(self.run.ceilings["max_steps"])
        if asked and asked > limit:
            message = f"recursion_limit {asked} is above the ceiling max_steps and was cut to {limit}"
            data = {"code": "ceiling.steps", "asked": asked, "limit": limit, "message": message}
            self.attempt.append(*frame("notice", data))

    async def _stream(self) -> None:
        assert self._graph is not None
        options = self.run.options
        frames = FrameEncoder(options.stream_mode, subgraphs=options.subgraphs)
        self.attempt.write_behind = options.durability != "sync"
        logged = await self.attempt.read_logged_events() if self.run.attempt > 1 else None
        replay = ReplayFilter(frames, self._checkpointer.results, self._plan, logged)
        stream = stream_graph(self._graph, self.run, self._plan.input, self._config, frames.graph_modes, self._control)
        async for namespace, mode, payload in stream:
            if not namespace:
                self._observe(mode, payload)
            self._append(replay.entries(namespace, mode, payload))
            self.attempt.chunk_appended()
            if self._checkpointer.refused is not None:
                raise self._checkpointer.refused
            await self.attempt.wait_for_capacity()
        self._append(replay.rest())

    def _append(self, entries: Sequence[LogEntry]) -> None:
        for entry in entries:
            self._ceilings.count_event(len(entry.frame))
            self.attempt.append(*entry)

    async def _check_breakpoint(self) -> None:
        """Forget a breakpoint behind the last node: LangGraph stops there too, but nothing is left to continue."""
        if self._observer.breakpoint and not (await self._read_state()).next:
            self._observer.breakpoint = False

    async def _read_state(self) -> StateSnapshot:
        assert self._graph is not None
        return await read_state(self._graph, {"configurable": {"thread_id": self.run.thread_id}})

    def _observe(self, mode: str, payload: Any) -> None:
        """Learn from a chunk of the root graph. Raises `CeilingHit` before the nodes beyond a ceiling run."""
        if mode == "values":
            self._observer.on_values(payload)
            self._guard.superstep_ended()
        elif mode == "updates":
            self._observer.on_updates(payload)
        elif mode == "tasks" and "triggers" in payload:
            if self._guard.task_started(payload):
                if self._guard.superstep_begins:  # a task that is called begins without waiting for the stream's reader
                    self.attempt.superstep_started()
                self._suspect_progress.superstep_started()
                failpoints.reach("superstep")
                self._guard.count_time()
                self.attempt.add_command(("HSET", self._keys.run(self.run.run_id), "usage", self._usage_if_crashed()))
        elif mode == "tasks":
            self._guard.task_ended()
            self._observer.on_task_end(payload)

    def _usage(self) -> str:
        return dumps(self._ceilings.usage.public()).decode()

    def _usage_if_crashed(self) -> str:
        """What the run has used if this process dies now. Without a checkpoint before its end all work is lost with it,
        and supersteps that are executed again are not counted again."""
        if self.run.options.durability != "exit":
            return self._usage()
        return dumps(self._ceilings.usage.with_counts_of(Usage.of(self.run.usage)).public()).decode()

    # settle

    def _outcome_of(self, error: BaseException | None) -> Outcome:
        """What the end of the work means."""
        if self._stop is StopReason.LOST or (is_a(error, Fenced) and self.attempt.is_fenced):
            return LOST
        if type(error) is StoreUnavailable:
            return Outcome(None, StopReason.LOST, why=str(error))
        if self._stop is StopReason.CANCEL:
            return CANCELLED
        if error is None:
            return Outcome(Phase.WAITING_FOR_APPROVAL if self._observer.is_interrupted else Phase.COMPLETED)
        if self._guard.ceiling_hit is not None:
            return self._failed(self._guard.ceiling_hit if self._stop is StopReason.CEILING else error)
        if self._stop is StopReason.DRAIN or (is_a(error, GraphDrained) and self._control.drain_requested):
            return DRAINED
        return self._failed(error)

    def _failed(self, error: BaseException) -> Outcome:
        seen = self._observer
        ceiling_hit = self._guard.ceiling_hit
        if is_a(error, GraphRecursionError) and self._ceilings.steps_left <= 0:
            ceiling_hit = ceiling_hit or self._ceilings.error_for("steps", self._ceilings.usage.steps)
        failure = failure_of(
            error, ceiling_hit=ceiling_hit, node=seen.failed_node, node_completed=seen.completed_tasks > 0
        )
        if failure.code == "node.failed":
            log.warning("run.raised", run=self.run.run_id, node=failure.node, exception=traceback_of(error))
        return Outcome(Phase.FAILED, failure=failure)

    async def _finish(self, ended_by: BaseException | None) -> Outcome:
        """Settle or release the run. A fault on the way fails the run at once: another attempt would repeat the graph's
        effects, and come to the same fault."""
        try:
            return await self._settle(self._outcome_of(ended_by))
        except BaseException as error:
            if self._is_process_fault(error):
                raise
            log.error("settle.broke", run=self.run.run_id, exception=traceback_of(error))
            failure = failure_of(error, ceiling_hit=None, node=None, node_completed=True)
            settled, outcome = await self._settle_with(Phase.FAILED, failure, EMPTY_SUMMARY)
            return outcome if isinstance(settled, Settled) else LOST

    def _is_process_fault(self, error: BaseException) -> bool:
        """Whether an error means that this process cannot or must not settle the run. A graph may raise the same."""
        if is_a(error, asyncio.CancelledError):
            task = asyncio.current_task()
            return task is not None and task.cancelling() > 0
        return type(error) is StoreUnavailable or (is_a(error, Fenced) and self.attempt.is_fenced)

    async def _settle(self, outcome: Outcome) -> Outcome:
        try:
            if outcome.stop is StopReason.LOST:
                return outcome
            failpoints.reach("release" if outcome.phase is None else "before_settle")
            if outcome.phase is None:
                return outcome if await self._release() else LOST
            settled, outcome = await self._settle_as(outcome.phase, outcome.failure)
            if isinstance(settled, CancelRequested):
                settled, outcome = await self._settle_as(Phase.CANCELLED, None)
            failpoints.reach("after_settle")
            return outcome if isinstance(settled, Settled) else LOST
        except Fenced:
            return LOST
        except StoreUnavailable as error:
            return Outcome(None, StopReason.LOST, why=str(error))

    async def _release(self) -> bool:
        return await self.attempt.release(
            {
                "run_id": self.run.run_id,
                "incarnation": self.run.incarnation,
                "attempt": self.attempt.number,
                "seq": 0,
                "counted": False,
                "announce": self._stop is StopReason.DRAIN,
                "reason": "handed back by a process that stops",
                "delay_ms": 0,
                "usage": self._usage(),
                "entries": [],
            }
        )

    async def _settle_as(self, phase: Phase, failure: Failure | None) -> tuple[SettleResult, Outcome]:
        """The script's result, and how the run has ended if it is `Settled`."""
        if self._is_rollback(phase):
            # Written before anything is removed, so that an attempt that no longer owns its run is fenced there: what
            # is removed is found by the run's id alone, which another run may have by now.
            self.attempt.add_command(("HSET", self._keys.run(self.run.run_id), "usage", self._usage()))
            await self._checkpointer.adelete_for_runs([self.run.run_id])
        return await self._settle_with(*await self._final_state(phase, failure))

    def _is_rollback(self, phase: Phase) -> bool:
        return phase is Phase.CANCELLED and self.attempt.cancel is Action.ROLLBACK

    async def _settle_with(
        self, phase: Phase, failure: Failure | None, state: ThreadSummary
    ) -> tuple[SettleResult, Outcome]:
        shown = None if failure is None else dumps(failure.public()).decode()
        result = "" if phase is Phase.CANCELLED else self._observer.result()
        settled = await self.attempt.settle(
            {
                "run_id": self.run.run_id,
                "incarnation": self.run.incarnation,
                "attempt": self.attempt.number,
                "seq": 0,
                "phase": phase.value,
                "status": status_of(phase, failure.code if failure else None),
                "reason": failure.code if failure else "",
                "error": None if failure is None else dumps(failure.record(self.attempt.number)).decode(),
                "usage": self._usage(),
                "entries": [] if shown is None else [("error", encode_frame("error", shown.encode()).decode(), "")],
                "result": result if shown is None else f'{{"__error__":{shown}}}',
                "values": state.values,
                "interrupts": state.interrupts,
                "thread_status": "error" if failure else state.status,
                "thread_error": shown,
                "rollback": self._is_rollback(phase),
                "event_ttl_s": self._event_ttl_s,
            }
        )
        stop = StopReason.CANCEL if phase is Phase.CANCELLED else None
        return settled, Outcome(phase, stop, failure)

    async def _final_state(self, phase: Phase, failure: Failure | None) -> tuple[Phase, Failure | None, ThreadSummary]:
        """How the run ends, and what its thread shows then. A state that cannot be read or encoded fails the run, for
        another attempt would come to the same end; the thread shows what it showed before."""
        try:
            return phase, failure, await self._thread_summary(phase)
        except BaseException as error:
            if self._is_process_fault(error):
                raise
            log.error("state.not_kept", run=self.run.run_id, exception=traceback_of(error))
            if phase is Phase.CANCELLED:
                return phase, failure, EMPTY_SUMMARY
            return (
                Phase.FAILED,
                failure or failure_of(error, ceiling_hit=None, node=None, node_completed=True),
                EMPTY_SUMMARY,
            )

    async def _thread_summary(self, phase: Phase) -> ThreadSummary:
        """The thread's state at the end. The stream has told everything, unless the run was cut short or its
        output is not its whole state."""
        if self._graph is None:
            return EMPTY_SUMMARY
        told = phase in (Phase.COMPLETED, Phase.WAITING_FOR_APPROVAL) and self._observer.received_values
        if told and self._graph.output_channels == self._graph.stream_channels_asis:
            return ThreadSummary.seen(self._observer)
        return ThreadSummary.of(await self._read_state())

    # report

    def _log_outcome(self, outcome: Outcome) -> None:
        facts: dict[str, Any] = {"run": self.run.run_id, "graph": self.run.graph_id, "attempt": self.attempt.number}
        if outcome.phase is None:
            log.info("run.left", stop=outcome.stop, why=outcome.why, **facts)
            return
        used = self._ceilings.usage
        code = outcome.failure.code if outcome.failure else None
        active_s = round(used.active_s, 3)
        log.info("run.settled", phase=outcome.phase, code=code, steps=used.steps, active_s=active_s, **facts)
