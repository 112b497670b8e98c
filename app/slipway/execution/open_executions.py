"""Opens, stops and closes the executions of one process, which is a worker or a web process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from langgraph.store.base import BaseStore

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.retention_after_runs import RetentionAfterRuns
from slipway.execution.execution import Execution
from slipway.execution.thread_moving import ThreadMoving
from slipway.graphs.interface import Graphs
from slipway.metering.meter import MeterConfig
from slipway.metrics.process_metrics import ProcessMetrics
from slipway.redis.shards import Shards
from slipway.rollouts.watch import RolloutWatch
from slipway.runs.attempt_spans import attempt_trace
from slipway.runs.attempt_writer import SPANS_WITHIN_S, AttemptWriter
from slipway.runs.derived_spans import queue_span
from slipway.runs.leases import LeaseRenewer
from slipway.runs.record import Run
from slipway.runs.replicated_runs import ReplicatedRuns
from slipway.runs.run_sizes import RunSizes
from slipway.runs.scripts import RunScripts
from slipway.switches.watch import SwitchWatch
from slipway.tool_gateway.gateway import ToolServices
from slipway.tool_gateway.node_executions import follow_nodes
from slipway.tracing.recording import NOT_EXPORTED, TraceRecording


class OpenExecutions:
    """The executions of one process. The lease of each is renewed from `open` to `close`."""

    def __init__(
        self,
        scripts: RunScripts,
        graphs: Graphs,
        checkpointer: BaseCheckpointer,
        shards: Shards,
        store: BaseStore,
        lease_renewer: LeaseRenewer,
        *,
        event_ttl_s: int,
        metering: MeterConfig,
        retention: RetentionAfterRuns | None = None,
        tools: ToolServices | None = None,
        switches: SwitchWatch,
        rollouts: RolloutWatch,
        moving: ThreadMoving | None = None,
        recording: TraceRecording = NOT_EXPORTED,
        on_opened: Callable[[Run], None] = lambda run: None,
        metrics: ProcessMetrics | None = None,
        replicated: ReplicatedRuns | None = None,
    ) -> None:
        """`on_opened` is called for each run whose execution is opened. `replicated` is needed for runs with that
        durability."""
        self._replicated = replicated
        self._on_opened = on_opened
        self._recording, self._metrics = recording, metrics
        self._scripts, self._graphs, self._checkpointer = scripts, graphs, checkpointer
        self._shards, self._store, self._event_ttl_s = shards, store, event_ttl_s
        self._lease_renewer, self._retention, self._tools = lease_renewer, retention, tools
        self._switches, self._rollouts, self._moving = switches, rollouts, moving
        switches.on_change = self._on_switches_changed
        self._draining, self._sizes, self._metering = False, RunSizes(), metering
        self._spans_timer: asyncio.TimerHandle | None = None
        """Set while executions with a recorder are open. One for all: a timer for each would cost more than a span."""
        self.current: list[Execution] = []
        """The open executions, in the order in which they were opened."""
        follow_nodes()  # log lines name them, also those of runs without spans

    @property
    def worker_id(self) -> str:
        """The id under which this process claims runs."""
        return self._lease_renewer.worker

    def open(
        self, run: Run, claim_sent_at: float, *, on_cleared: Callable[[Run], None] = lambda run: None
    ) -> Execution:
        """Opens the execution of a run that this process has just claimed; the claim was sent at `claim_sent_at`
        (`time.monotonic`). `on_cleared` is called if the run is a crash suspect and is cleared. This is not a
        coroutine, because a cancel request that arrives right after the claim must find the attempt."""
        writer = AttemptWriter(self._scripts_of(run), run, sizes=self._sizes)
        if self._metrics is not None and self._metrics.enabled:
            writer.count_in(self._metrics)
        trace = attempt_trace(run, self._recording, self.worker_id)
        if trace is not None:
            writer.record_with(trace)
            if self._spans_timer is None:
                self._send_spans_later()
            if run.attempt == 1 and trace.is_exported:
                traced = trace.run
                trace.export_also(queue_span(traced, traced.created_us, run.started_us or trace.now_us()))
        self._lease_renewer.add(writer, claim_sent_at)
        execution = Execution(
            writer,
            self._graphs,
            self._checkpointer,
            self._shards.of_thread(run.thread_id),
            event_ttl_s=self._event_ttl_s,
            metering=self._metering,
            store=self._store,
            tools=self._tools,
            on_cleared=on_cleared,
            switches=lambda: self._switches.off,
            ramp=lambda: self._rollouts.ramp_of(run.graph_id),
            moving=self._moving,
            enter_trace=self._recording.enter_trace,
        )
        execution.on_switches_changed()
        self.current.append(execution)
        if self._draining:
            execution.drain()
        self._on_opened(run)
        return execution

    def _scripts_of(self, run: Run) -> RunScripts:
        if not run.options.is_replicated:
            return self._scripts
        assert self._replicated is not None, "this process executes no replicated runs"
        return self._replicated.scripts

    def close(self, execution: Execution) -> None:
        """Stops renewing the lease. A run that was neither settled nor released is reclaimed when its lease expires."""
        self._lease_renewer.remove(execution.writer)
        self.current.remove(execution)
        if self._retention is not None and not execution.run.options.temporary:
            self._retention.run_ended(execution.run.thread_id, execution.run.graph_id)

    def _send_spans_later(self) -> None:
        self._spans_timer = asyncio.get_running_loop().call_later(SPANS_WITHIN_S / 2, self._send_spans)

    def _send_spans(self) -> None:
        self._spans_timer = None
        recorded = [execution.writer for execution in self.current if execution.writer.trace is not None]
        if recorded:
            self._send_spans_later()
        for writer in recorded:
            writer.send_spans()

    def _on_switches_changed(self) -> None:
        for execution in self.current:
            execution.on_switches_changed()

    def drain(self) -> None:
        """Releases all runs at their next superstep, including runs that are opened later."""
        self._draining = True
        for execution in self.current:
            execution.drain()

    def stop_now(self) -> None:
        """Releases all runs at once. The next attempt executes the interrupted superstep again."""
        for execution in list(self.current):
            execution.stop_now()
