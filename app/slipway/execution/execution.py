"""Executes one attempt at a run, in named steps. A process claims the run, and then:

    guard    starts the timers of the ceilings
    load     decides from which checkpoint to start, and opens the graph
    stream   executes the graph; its chunks become events, which are sent in write groups with the checkpoints
    settle   one script writes phase, result, thread state and last events, ends the lease, and starts the thread's next
             run (`settle_or_release`)
    report   logs one line

A run that is to be cancelled before it starts is only loaded, for the state of its thread, and settled. The
checkpointer, whose writes are fenced, exists before the first step.

An attempt ends in one of a few ways (`attempt_outcome.Outcome`). The reason why Slipway stopped it is a value as well
(`attempt_outcome.StopReason`): a cancel request, the timer of a ceiling, a drain, or the loss of the run.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any, Final

import structlog
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.errors import GraphDrained, GraphRecursionError
from langgraph.runtime import RunControl
from langgraph.store.base import BaseStore

from slipway import failpoints
from slipway.accounting.counting import WARNING_AT, Ceilings
from slipway.accounting.metered_usage import MeteredUsage
from slipway.accounting.usage import Usage
from slipway.ceilings import CURRENT_CEILINGS
from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.moved_ids import CURRENT_MOVED_IDS, keep_ids_of_questions
from slipway.current_work import CURRENT_WORK
from slipway.errors import CODES, CeilingHit, Fenced, InputRefused, StoreUnavailable
from slipway.exception_text import is_a, traceback_of
from slipway.execution.attempt_outcome import CANCELLED, DRAINED, LOST, STOPPED_WITHIN_SUPERSTEP, Outcome, StopReason
from slipway.execution.ceiling_guard import CeilingGuard, count_retries
from slipway.execution.contained_errors import contain_errors
from slipway.execution.failure_from_exception import failure_of
from slipway.execution.frames import FrameEncoder, frame
from slipway.execution.replay_filter import LogEntry, ReplayFilter
from slipway.execution.retried_nodes import count_again_in_retries
from slipway.execution.run_input import NO_PLAN, bound_config, config_of, context_of, plan_start
from slipway.execution.settle_or_release import RunSettler, read_snapshot
from slipway.execution.stream import complete, nodes_wait, stream_graph, streams_subgraphs
from slipway.execution.stream_observer import StreamObserver
from slipway.execution.thread_moving import ThreadHeld, ThreadMoving
from slipway.execution.threads_with_context import carry_context_into_threads
from slipway.graphs.describe import name_of
from slipway.graphs.goto_targets import sentence_of
from slipway.graphs.interface import Graph, Graphs, with_checkpointer
from slipway.metering.callback_handler import HANDLER, MeteringHandler
from slipway.metering.meter import Meter, MeterConfig
from slipway.redis.keys import Keys
from slipway.rollouts.record import Ramp
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.cancel_reasons import Action
from slipway.runs.crash_suspects import SuspectProgress
from slipway.runs.current_attempt import CURRENT_ATTEMPT
from slipway.runs.derived_spans import run_span
from slipway.runs.held import exhausted, is_exhausted
from slipway.runs.record import Phase, Run
from slipway.runs.script_results import Released
from slipway.switches.attempt_switches import CURRENT_SWITCHES, AttemptSwitches
from slipway.switches.node_gates import install_gates
from slipway.switches.record import NONE_OFF, OffSwitches
from slipway.telemetry.current_trace import FindTrace
from slipway.tool_gateway.current_call import CURRENT_GATEWAY
from slipway.tool_gateway.gateway import Gateway, ToolServices
from slipway.tool_gateway.node_executions import CURRENT_NODE
from slipway.tool_gateway.target import prepare_tools_in
from slipway.tracing.attempt_trace import AttemptTrace
from slipway.tracing.current_span import CURRENT_SPAN
from slipway.tracing.run_trace import root_span_in
from slipway.weak_callbacks import weakly

log = structlog.get_logger(__name__)

_UNPRICED: Final[set[str]] = set()
"""Models without a price that this process has logged."""


class Execution:
    """The execution of one attempt. `drain`, `stop_now` and the writer of the attempt can stop it. `on_cleared` is
    called when the run is a crash suspect and is cleared. `switches` returns those that are off; `on_switches_changed`
    must be called when they change. `ramp` returns the ramp of the graph, if one of its versions is ramping.
    `enter_trace` makes the trace of the run that of the project's own spans, if spans are exported.

    Its parts call it through `weakly`, so they form no cycle with it, and all are freed when it has ended. Only the
    traceback of an exception or a cancellation that has ended the graph, or of a question to people, makes one."""

    def __init__(
        self,
        writer: AttemptWriter,
        graphs: Graphs,
        checkpointer: BaseCheckpointer,
        keys: Keys,
        *,
        event_ttl_s: int,
        metering: MeterConfig,
        store: BaseStore | None = None,
        tools: ToolServices | None = None,
        on_cleared: Callable[[Run], None] = lambda run: None,
        switches: Callable[[], OffSwitches] = lambda: NONE_OFF,
        ramp: Callable[[], Ramp | None] = lambda: None,
        moving: ThreadMoving | None = None,
        enter_trace: Callable[[FindTrace], None] | None = None,
    ) -> None:
        self.writer, self.run, self._moving = writer, writer.run, moving
        self._enter_trace = enter_trace
        self._trace = writer.trace
        self._graphs, self._store = graphs, store
        budget = self.run.ceilings.get("max_state_bytes")
        self._checkpointer = checkpointer.for_run(
            writer,
            own_thread=self.run.thread_id,
            is_empty=self.run.no_checkpoints,
            max_thread_bytes=None if budget is None else int(budget),
        )
        metered = MeteredUsage.from_stored(self.run.metered)
        metered.settle_all_reserved()  # those calls ended with the attempt that made them
        self._ceilings = Ceilings(
            self.run.ceilings,
            Usage.from_public(self.run.usage),
            metered,
            warn=weakly(self, Execution._append_warning),
        )
        warn_once, stop_with = weakly(self, Execution._warn_once), weakly(self, Execution._stop_with)
        self._checkpointer.warn_at(WARNING_AT, partial(warn_once, "state_bytes"))
        self._meter = Meter(
            metering,
            writer,
            self._ceilings,
            on_hit=weakly(self, Execution._on_ceiling_hit),
            on_unpriced=weakly(self, Execution._append_price_notice),
            store_usage=weakly(self, Execution._store_usage),
        )
        self._guard = CeilingGuard(self._ceilings, partial(stop_with, StopReason.CEILING), partial(warn_once, "step_s"))
        self._suspect_progress = SuspectProgress(writer, keys, on_cleared)
        self._observer = StreamObserver()
        self._settler = RunSettler(writer, self._checkpointer, self.usage, self._observer, event_ttl_s, graphs, ramp)
        self._control = RunControl()
        drain = weakly(self, Execution.drain)
        self.switches = AttemptSwitches(self.run.graph_id, switches, drain, self.run.skipped_tasks)
        """What is switched off, as this attempt sees it."""
        self._stop: StopReason | None = StopReason.CANCEL if writer.cancel else None
        self._working: asyncio.Task[Any] | None = None
        self._gateway = None if tools is None else Gateway(tools, writer, self._control, self._meter)
        self._graph: Graph | None = None
        self._config: RunnableConfig = {}
        self._plan = NO_PLAN
        self._call_was_refused = False
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        writer.on_stop, writer.on_pause = weakly(self, Execution._on_attempt_stopped), drain

    async def execute(self) -> None:
        """Executes the attempt until it ends. No exception of the graph is raised."""
        keep_ids_of_questions()
        CURRENT_MOVED_IDS.set(self._checkpointer.moved_ids)
        contain_errors(omit_empty_tasks=not streams_subgraphs(self.run))
        carry_context_into_threads()
        count_again_in_retries()
        CURRENT_ATTEMPT.set(self.writer)
        CURRENT_GATEWAY.set(self._gateway)
        CURRENT_NODE.set(None)
        CURRENT_SPAN.set(None if self._trace is None else self._trace.attempt)
        if self._enter_trace is not None and (stored := self.run.stored_trace):
            self._enter_trace(partial(root_span_in, stored))
        CURRENT_SWITCHES.set(self.switches)
        CURRENT_CEILINGS.set(self._ceilings)
        permit_tool = None if self._gateway is None else self._gateway.require_registered
        HANDLER.set(MeteringHandler(self._meter, permit_tool))
        var_child_runnable_config.set(None)  # a run that the code of another run has started has callbacks of its own
        CURRENT_WORK.set(self._work())
        async with AsyncExitStack() as resources:
            error = await self._run_graph(resources)
            if self._stop is StopReason.CANCEL and self._graph is None and self.run.attempt > 1:
                error = await self._run_graph(resources)  # cancelled while the graph was loaded: only loads it
            if self._gateway is not None:
                await self._gateway.tools_ended()
            outcome = await self._settler.settle_or_release(self._outcome_of(error), self._graph)
        if self._trace is not None:
            self._trace.close("lost" if outcome.stop is StopReason.LOST else "")
            if self._trace.is_exported:
                self._export_run(self._trace, outcome)
        self._report(outcome)

    def _export_run(self, trace: AttemptTrace, outcome: Outcome) -> None:
        """Exports the root span of the run if the attempt has settled it."""
        if outcome.phase is not None and outcome.stop is not StopReason.LOST:
            error = "" if outcome.failure is None else outcome.failure.code
            trace.export_also(run_span(trace.run, outcome.phase, error, trace.now_us()))

    def _work(self) -> dict[str, str | int]:
        """The fields of log lines, in the order in which lines have them: so they are quickly written."""
        run = self.run
        work: dict[str, str | int] = {"trace": trace_id} if (trace_id := run.trace_id) else {}
        work |= {"run": run.run_id, "thread": run.thread_id, "attempt": self.writer.number, "graph": run.graph_id}
        return work

    # stopping

    @property
    def drain_requested(self) -> bool:
        return self._control.drain_requested

    def drain(self) -> None:
        """Stops the graph at its next superstep, and releases the run."""
        self._control.request_drain()

    def on_switches_changed(self) -> None:
        """Stops before what is switched off now: the next superstep if it is the graph, else a node or a tool."""
        if not self.switches.any:
            return
        self.switches.stop_if_graph_is_off()
        if self._graph is not None and self.switches.needs_gates:
            install_gates(self._graph)

    def stop_now(self) -> None:
        """Stops the graph at once, and releases the run. The next attempt executes the interrupted superstep again."""
        self._stop_with(StopReason.DRAIN)

    def _on_attempt_stopped(self, action: Action | None) -> None:
        self._stop_with(StopReason.LOST if action is None else StopReason.CANCEL)

    def _stop_with(self, reason: StopReason) -> None:
        if self._stop is None:
            self._stop = reason
            if reason is StopReason.CEILING and self._trace is not None and self._guard.ceiling_hit is not None:
                self._trace.stopped_by = self._guard.ceiling_hit.full_code
        if self._working is not None:
            self._working.cancel()

    # guard, load, stream

    async def _run_graph(self, resources: AsyncExitStack) -> BaseException | None:
        """Executes the steps from `guard` to `stream`. Returns the exception that ended them early, else None.

        The steps run in the current asyncio task, because another task would start one event loop iteration later.
        `_stop_with` sets the stop reason before it cancels this task. Any other cancellation comes from the graph's
        code in this task, and fails the run like an error of a node."""
        self._working = task = asyncio.current_task()
        assert task is not None
        try:
            await self._load_and_stream(resources)
        except BaseException as error:  # including `SystemExit` from a node, which must not end the process
            return error
        finally:
            self._working = None
            while task.cancelling():
                task.uncancel()
        return None

    async def _load_and_stream(self, resources: AsyncExitStack) -> None:
        await self.writer.confirm_claim()
        if self._stop is StopReason.CANCEL:
            await self._load(resources)  # the graph is only needed to read the state for the thread record
            return
        self._guard.start()
        try:
            failpoints.reach("guard")
            graph = await self._load(resources)
            failpoints.reach("load")
            await self._stream(graph)
        finally:
            self._guard.stop()
            self._meter.close()

    async def _load(self, resources: AsyncExitStack) -> Graph:
        newest = None
        if self.run.attempt > 1:
            newest = await self._checkpointer.latest(self.run.thread_id)
        self._plan = plan_start(self.run, newest)
        self._config = config_of(self.run, self._plan.checkpoint, self._ceilings.steps_left)
        self._append_limit_notice()
        self._warn_of_attempts()
        version = self.run.version or None
        opened = self._graphs.open(
            self.run.graph_id, self._config, "threads.create_run", context_of(self.run), version=version
        )
        graph = await resources.enter_async_context(opened)
        await self._move_thread(graph)
        name = name_of(graph, self.run.graph_id)
        self._config |= bound_config(self.run, graph.config or {}, name, self._ceilings.steps_left)
        count_retries(graph)
        if self._graphs.has_factory(self.run.graph_id, version):
            prepare_tools_in(graph)
        self._guard.watch(graph)
        if self._gateway is not None:
            self._gateway.watch(graph)
        self._graph = with_checkpointer(graph, self._checkpointer, self._store)
        self.on_switches_changed()
        return self._graph

    async def _move_thread(self, graph: Graph) -> None:
        """Moves the thread to the version of the run if it is pinned to another one, if the code of its version has
        changed, or if the run starts from a checkpoint of another version. A run that is to be cancelled executes
        nothing."""
        if self._stop is StopReason.CANCEL:
            return
        if missing := self._plan.missing_targets(graph.nodes):
            await self._refuse_targets(missing, graph)
        if self._moving is None:
            return
        start = await self._moving.move(self.run, graph, self._plan)
        if start is not None:
            self._plan = replace(self._plan, checkpoint={"checkpoint_ns": "", "checkpoint_id": start})
            self._config = config_of(self.run, self._plan.checkpoint, self._ceilings.steps_left)
        elif self.run.attempt > 1 and self.run.pinned_version is not None:
            self._plan = plan_start(self.run, await self._checkpointer.latest(self.run.thread_id))

    async def _refuse_targets(self, missing: Sequence[str], graph: Graph) -> None:
        """Raises `ThreadHeld` if the version of the thread has these nodes, else `InputRefused`."""
        problem = sentence_of(missing, self.run.graph_id, self.run.version, graph.nodes)
        if self._moving is not None:
            await self._moving.hold_for_targets(self.run, missing, problem)
        raise InputRefused(f"command.goto: {problem}")

    def _append_limit_notice(self) -> None:
        requested = (self.run.options.config or {}).get("recursion_limit")
        limit = int(self.run.ceilings["max_steps"])
        if requested and requested > limit:
            message = f"recursion_limit {requested} is above the ceiling max_steps and was reduced to {limit}"
            data = {"code": "ceiling.steps", "asked": requested, "limit": limit, "message": message}
            self.writer.append(*frame("notice", data))

    def _warn_of_attempts(self) -> None:
        used, limit = self.run.attempt - self.run.uncounted_attempts, self.run.ceilings["max_attempts"]
        if used > 1 and WARNING_AT * limit <= used < limit:
            self._append_warning("attempts", used, limit)

    def _append_warning(self, ceiling: str, used: float, limit: float) -> None:
        """Tells clients that most of a ceiling is used. Called by any thread that counts."""
        code = f"ceiling.{CODES.get(ceiling, ceiling)}"
        message = f"{used:g} of {limit:g} are used of the ceiling max_{ceiling}"
        data = {"code": code, "warning": True, "used": used, "limit": limit, "message": message}
        self._append_notice(data, f"ceiling:{CODES.get(ceiling, ceiling)}:{used:.15g}:{limit:.15g}")

    def _warn_once(self, ceiling: str, used: float) -> None:
        """Warns of a ceiling, once in a chain. That it was done is stored with the event."""
        self._ceilings.warn_once(ceiling, used)
        self._store_usage()

    def _append_price_notice(self, model: str) -> None:
        """Tells clients that the calls of a model cost an unknown amount."""
        if model not in _UNPRICED:
            _UNPRICED.add(model)
            log.warning("model.price_unknown", model=model, run=self.run.run_id)
        message = f"the price of the model {model} is unknown: its tokens are counted, and its costs are not"
        self._append_notice({"code": "model.price_unknown", "warning": True, "model": model, "message": message})

    def _append_notice(self, data: dict[str, Any], mark: str = "") -> None:
        if threading.get_ident() == self._thread:
            self.writer.append_beside_stream(*frame("notice", data), mark)
        else:
            self._loop.call_soon_threadsafe(self._append_notice, data, mark)

    def _on_ceiling_hit(self, hit: CeilingHit) -> None:
        """Ends the run, also if the code of the graph catches the exception. Called by any thread. The cancellation
        comes one event loop iteration later: the task that is about to raise the exception would swallow it."""
        self._guard.ceiling_hit = self._guard.ceiling_hit or hit
        self._call_was_refused = True
        self._loop.call_soon_threadsafe(self._stop_with, StopReason.CEILING)

    async def _stream(self, graph: Graph) -> None:
        options = self.run.options
        frames = FrameEncoder(options.stream_mode, subgraphs=options.subgraphs, state_json=self._observer.state_json)
        self.writer.nodes_wait = nodes_wait(self.run)
        self.writer.write_behind = options.durability != "sync"
        logged = await self.writer.read_logged_events() if self.run.attempt > 1 else None
        replay = ReplayFilter(frames, self._checkpointer.results, self._plan, logged)
        stream = stream_graph(graph, self.run, self._plan.input, self._config, frames.graph_modes, self._control)
        async for chunk in stream:
            namespace, mode, payload = complete(chunk)
            if not namespace:
                self._observe(mode, payload)
                if mode == "values" and self.writer.nodes_wait and self._observer.state_json.is_large:
                    with self.writer.encoding_chunk():
                        await self._observer.state_json.encode_in_turns()
            self._append(replay.entries(namespace, mode, payload))
            self.writer.chunk_appended()
            if self._checkpointer.write_error is not None:
                raise self._checkpointer.write_error
            if self.writer.must_wait:
                await self.writer.wait_for_capacity()
        self._append(replay.remaining_updates())
        # LangGraph also stops at a breakpoint after the last node, but then no node is left to execute
        if self._observer.breakpoint and not (await read_snapshot(graph, self.run.thread_id)).next:
            self._observer.breakpoint = False

    def _append(self, entries: Sequence[LogEntry]) -> None:
        for entry in entries:
            self._ceilings.count_event(len(entry.frame))
            self.writer.append(*entry)

    def _observe(self, mode: str, payload: Any) -> None:
        """Handles a chunk of the root graph. Raises `CeilingHit` before nodes run that would exceed a ceiling."""
        if mode == "values":
            self._observer.on_values(payload)
            self._guard.superstep_ended()
        elif mode == "updates":
            self._observer.on_updates(payload)
        elif mode == "tasks" and "triggers" in payload:
            if self._guard.task_started(payload):
                self._on_tasks_start()
            self.writer.task_started()
            if self._trace is not None and self.writer.nodes_wait and not self._guard.is_call(payload):
                self._trace.task_announced(payload["id"], payload["name"])
        elif mode == "tasks":
            if self._guard.task_ended(payload):
                self.writer.superstep_ended()
                if self._trace is not None:
                    self._trace.superstep_ended()
            self._observer.on_task_end(payload)

    def _on_tasks_start(self) -> None:
        """Called before the tasks of a superstep, or the tasks that a node calls (`@task`), are executed."""
        if self._guard.superstep_starting:  # tasks that a node calls do not wait until the stream is read
            self.writer.superstep_started()
            if self._trace is not None and self.writer.nodes_wait:
                self._trace.superstep_started(self.usage.steps)
        self._suspect_progress.superstep_started()
        failpoints.reach("superstep")
        self._guard.count_time()
        self._store_usage()

    @property
    def usage(self) -> Usage:
        """What the chain has used so far."""
        return self._ceilings.usage

    def _store_usage(self) -> None:
        self.writer.store_usage(self._usage_if_crashed().stored())

    def _usage_if_crashed(self) -> Usage:
        """The usage from which the next attempt continues if this process dies now. With durability `exit`, no
        checkpoint is stored before the run ends. Then all supersteps are executed again, and must not be counted
        twice."""
        if self.run.options.durability != "exit":
            return self.usage
        return self.usage.with_counts_of(Usage.from_public(self.run.usage))

    # settle

    def _outcome_of(self, error: BaseException | None) -> Outcome:
        """The outcome of the attempt, from the exception that ended its graph and the reason why it was stopped."""
        if self._stop is StopReason.LOST or (is_a(error, Fenced) and self.writer.is_fenced):
            return LOST
        if type(error) is StoreUnavailable:
            return Outcome(None, StopReason.LOST, problem=str(error))
        if self._stop is StopReason.CANCEL:
            return CANCELLED
        if isinstance(error, ThreadHeld):
            return error.outcome
        hit = self._guard.ceiling_hit
        if error is None:
            if hit is not None and self._call_was_refused:
                return self._failed(hit)
            return Outcome(Phase.WAITING_FOR_APPROVAL if self._observer.is_interrupted else Phase.COMPLETED)
        if hit is not None:
            return self._failed(hit if self._stop is StopReason.CEILING else error)
        if self._stop is StopReason.DRAIN:
            return STOPPED_WITHIN_SUPERSTEP
        if self.switches.has_stopped_task:
            return self._stopped_at_switch()
        if is_a(error, GraphDrained) and self._control.drain_requested:
            return DRAINED if self.switches.stopped_at is None else self._stopped_at_switch()
        return self._failed(error)

    def _stopped_at_switch(self) -> Outcome:
        switch, repeats = self.switches.stopped_at, self.switches.has_stopped_task
        key = None if switch is None else switch.target.key
        return Outcome(None, StopReason.SWITCH, repeats_superstep=repeats, switch=key)

    def _failed(self, error: BaseException) -> Outcome:
        observer, ceiling_hit = self._observer, self._guard.ceiling_hit
        if is_a(error, GraphRecursionError) and self._ceilings.steps_left <= 0:
            ceiling_hit = ceiling_hit or self._ceilings.error_for("steps", self.usage.steps)
        failure = failure_of(
            error, ceiling_hit=ceiling_hit, node=observer.failed_node, node_completed=observer.completed_tasks > 0
        )
        if failure.code == "node.failed":
            log.warning("run.raised", run=self.run.run_id, node=failure.node, exception=traceback_of(error))
        if self.run.pauses_exhausted and is_exhausted(failure):
            pause = exhausted(failure, self.writer.number)
            return Outcome(None, StopReason.EXHAUSTED, problem=pause.reason, pause=pause, repeats_superstep=True)
        return Outcome(Phase.FAILED, failure=failure)

    # report

    def _report(self, outcome: Outcome) -> None:
        fields = {**self.run.logged.log_fields(), "attempt": self.writer.number}
        if outcome.phase is not None:
            code = outcome.failure.code if outcome.failure else None
            steps, active_s = self.usage.steps, round(self.usage.active_s, 3)
            log.info("run.settled", phase=str(outcome.phase), code=code, steps=steps, active_s=active_s, **fields)
        elif outcome.stop is StopReason.LOST:
            log.info("run.lost", problem=outcome.problem, **fields)
        else:
            released = outcome.released
            if released is not None and released.paused_by is not None:
                log.warning("run.stranded", waits_for=_waits_for(outcome, released), reason=released.reason, **fields)
            if outcome.pause is None:
                log.info("run.released", switch=outcome.switch, **fields)


def _waits_for(outcome: Outcome, released: Released) -> str | None:
    """What a run waits for whose attempt has ended (`slipway.waiting_reasons.record.WaitsFor`)."""
    if released.paused_by == "attempt" and outcome.pause is not None:
        return "exhausted" if outcome.pause.held.why == "exhausted" else "held_version"
    return released.paused_by
