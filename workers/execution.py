"""One attempt at a run, as named steps: claim (`claims`), load, guard, stream, settle, report.

    load    the graph, its checkpointer under the attempt's fencing token, and where to start
    guard   ceilings and timers
    stream  run the graph; every chunk becomes events in the same group of writes as the checkpoints beside it
    settle  one script: phase, result, thread state, last events, lease, the thread's next run
    report  a log line

How an attempt ends is one of a closed set (`Outcome`), and why it was stopped is a value (`Stop`), decided by
whoever stops it: a cancel, a ceiling's timer, a drain, or the loss of the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import structlog
from app.checkpoints import Checkpointer
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from langgraph.types import StateSnapshot

from app.encoding import dumps
from app.errors import Fenced, StoreUnavailable
from app.graphs import Graph, Graphs, attached
from app.keyspace.names import Keys
from app.leases import Attempt
from app.policy import Ceilings, Usage
from app.runs import Action, Phase, status_of
from workers.failures import Failure, failure_of
from workers.frames import Frames, frame
from workers.guards import Guard, instrument
from workers.inputs import Plan, config_of, context_of, plan

log = structlog.get_logger(__name__)

INTERRUPT: Final = "__interrupt__"


class Stop(StrEnum):
    """Why an attempt was stopped from outside."""

    CANCEL = "cancel"
    CEILING = "ceiling"
    DRAIN = "drain"
    LOST = "lost"


@dataclass(slots=True)
class Seen:
    """What the stream has shown so far."""

    values: Any = None
    has_values: bool = False
    interrupts: dict[str, list[Any]] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)
    breakpoint: bool = False
    ended_nodes: int = 0
    failed_node: str | None = None
    quiet_resume: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `phase` is None when the run goes back to the queue, or is no longer ours."""

    phase: Phase | None
    failure: Failure | None = None
    stop: Stop | None = None
    resolution: str = ""


class Execution:
    """One attempt. Make it, `run()` it; `drain`, and the attempt itself, may stop it meanwhile."""

    def __init__(
        self, attempt: Attempt, graphs: Graphs, checkpointer: Checkpointer, keys: Keys, *, event_ttl_s: int
    ) -> None:
        self.attempt, self.run = attempt, attempt.run
        self._graphs, self._keys, self._event_ttl_s = graphs, keys, event_ttl_s
        self._checkpointer = checkpointer.through(attempt)
        self._control = RunControl()
        self._stop: Stop | None = None
        self._streaming: asyncio.Task[None] | None = None
        self._seen = Seen()
        self._ceilings = Ceilings(self.run.ceilings, Usage.of(self.run.usage))
        self._guard = Guard(self._ceilings, lambda: self._halt(Stop.CEILING))
        self._graph: Graph | None = None
        self._config: RunnableConfig = {}
        self._plan = Plan(None, {}, False)
        attempt.on_stop = self._told

    async def execute(self) -> None:
        """Run the attempt to its end, whatever that is. Never raises for what the graph does."""
        async with AsyncExitStack() as resources:
            outcome = await self._outcome(resources)
            settled = await self._settle(outcome)
        self._report(settled)

    def drain(self) -> None:
        """Stop at the next superstep and hand the run back."""
        self._control.request_drain()

    def abandon(self) -> None:
        """Stop now and hand the run back; the superstep in flight is done again by the next attempt."""
        self._halt(Stop.DRAIN)

    def _told(self, action: Action | None) -> None:
        self._halt(Stop.LOST if action is None else Stop.CANCEL)

    def _halt(self, why: Stop) -> None:
        if self._stop is None:
            self._stop = why
        if self._streaming is not None:
            self._streaming.cancel()

    # load, guard, stream

    async def _outcome(self, resources: AsyncExitStack) -> Outcome:
        if self.attempt.cancel is not None:
            self._stop = Stop.CANCEL
        self._streaming = asyncio.create_task(self._work(resources), name=f"run {self.run.run_id}")
        try:
            await asyncio.shield(asyncio.wait([self._streaming]))
        except asyncio.CancelledError:
            self._halt(Stop.DRAIN)
            await asyncio.wait([self._streaming])
        return self._judge(self._streaming)

    def _judge(self, done: asyncio.Task[None]) -> Outcome:
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if self._stop is Stop.LOST or isinstance(error, Fenced):
            return Outcome(None, stop=Stop.LOST)
        if isinstance(error, StoreUnavailable):
            return Outcome(None, stop=Stop.LOST, resolution=str(error))
        if self._stop is Stop.CANCEL:
            return Outcome(Phase.CANCELLED, stop=Stop.CANCEL)
        if self._guard.tripped is not None and error is not None:
            return self._failed(self._guard.tripped if self._stop is Stop.CEILING else error)
        if isinstance(error, GraphDrained) or self._stop is Stop.DRAIN:
            return Outcome(None, stop=Stop.DRAIN)
        if error is not None:
            return self._failed(error)
        waits = bool(self._seen.asked or self._seen.breakpoint)
        return Outcome(Phase.WAITING_FOR_APPROVAL if waits else Phase.COMPLETED)

    def _failed(self, error: BaseException) -> Outcome:
        began = self._seen.ended_nodes > 0
        node = self._seen.failed_node
        failure = failure_of(error, tripped=self._guard.tripped, node=node, began=began)
        if failure.code == "node.failed":
            log.warning("run.raised", run=self.run.run_id, node=node, exc_info=error)
        return Outcome(Phase.FAILED, failure=failure)

    async def _work(self, resources: AsyncExitStack) -> None:
        if self._stop is Stop.CANCEL:
            await self._load(resources)
            return
        self._guard.start()
        try:
            await self._load(resources)
            await self._stream()
        finally:
            self._guard.stop()

    async def _load(self, resources: AsyncExitStack) -> None:
        newest = None
        if self.run.attempt > 1:
            newest = await self._checkpointer.aget_tuple({"configurable": {"thread_id": self.run.thread_id}})
        self._plan = plan(self.run, newest)
        self._config = config_of(self.run, self._plan.checkpoint, self._ceilings.steps_left)
        self._notice_cut_limit()
        opened = self._graphs.open(
            self.run.graph_id, self._config, "threads.create_run", self.run.kwargs.get("context")
        )
        graph = await resources.enter_async_context(opened)
        instrument(graph)
        self._graph = attached(graph, self._checkpointer)

    def _notice_cut_limit(self) -> None:
        asked = (self.run.kwargs.get("config") or {}).get("recursion_limit")
        if asked and asked > self.run.ceilings["max_steps"]:
            limit = int(self.run.ceilings["max_steps"])
            notice = {"code": "ceiling.steps", "asked": asked, "limit": limit}
            notice["message"] = f"recursion_limit {asked} is above the ceiling max_steps and was cut to {limit}"
            self.attempt.append(*frame("notice", notice))

    async def _stream(self) -> None:
        kwargs = self.run.kwargs
        frames = Frames(kwargs["stream_mode"], subgraphs=bool(kwargs.get("subgraphs")))
        durability = kwargs.get("durability") or "async"
        self._seen.quiet_resume = self._plan.continues and durability == "async"
        async for namespace, mode, payload in self._chunks(frames, durability):
            if not namespace:
                self._watch(mode, payload)
            if mode == "values" and not namespace and self._seen.quiet_resume:
                self._seen.quiet_resume = False
                continue
            for name, encoded in frames.of(namespace, mode, payload):
                self._ceilings.emit(len(encoded))
                self.attempt.append(name, encoded)
            await self.attempt.room()
        self._seen.quiet_resume = False

    async def _chunks(self, frames: Frames, durability: str) -> AsyncIterator[tuple[Sequence[str], str, Any]]:
        """(namespace, mode, payload) of everything the graph streams."""
        assert self._graph is not None
        kwargs = self.run.kwargs
        subgraphs = bool(kwargs.get("subgraphs"))
        before, after = kwargs.get("interrupt_before"), kwargs.get("interrupt_after")
        modes = frames.graph_modes | {"tasks", "values"}
        if before or after or self._graph.interrupt_before_nodes or self._graph.interrupt_after_nodes:
            modes.add("updates")
        options: dict[str, Any] = {
            "context": context_of(self.run, self._graph),
            "stream_mode": list(modes),
            "interrupt_before": before,
            "interrupt_after": after,
            "durability": durability,
            "control": self._control,
            "subgraphs": subgraphs,
        }
        if "events" in kwargs["stream_mode"]:
            chunks = self._from_events(self._graph, options)
        else:
            chunks = self._graph.astream(self._plan.input, self._config, **options)
        async for chunk in chunks:
            if len(chunk) == 1:
                yield (), "events", chunk[0]
            elif subgraphs:
                yield chunk
            else:
                yield (), chunk[0], chunk[1]

    async def _from_events(self, graph: Graph, options: dict[str, Any]) -> AsyncIterator[tuple[Any, ...]]:
        """LangChain's own events, with the chunks of the other modes as they pass through the root."""
        root = None
        async for event in graph.astream_events(self._plan.input, self._config, version="v2", **options):
            root = root or event["run_id"]
            if "langsmith:hidden" in (event.get("tags") or ()):
                continue
            if event["run_id"] == root and event["event"] == "on_chain_stream":
                yield event["data"]["chunk"]
            else:
                yield (event,)

    def _watch(self, mode: str, payload: Any) -> None:
        """Learn from a root chunk, whether or not a client asked for it."""
        if mode == "tasks":
            self._watch_task(payload)
        elif mode == "values":
            self._seen.values, self._seen.has_values = payload, True
            if isinstance(payload, dict) and payload.get(INTERRUPT):
                self._seen.asked.extend(payload[INTERRUPT])
        elif mode == "updates" and isinstance(payload, dict) and payload.get(INTERRUPT) == ():
            self._seen.breakpoint = True

    def _watch_task(self, payload: dict[str, Any]) -> None:
        if "triggers" in payload:
            if self._guard.task_begins(payload["name"]):
                self._guard.count_time()
                usage = dumps(self._ceilings.used.public())
                self.attempt.put(("HSET", self._keys.run(self.run.run_id), "usage", usage))
            return
        self._guard.task_ended()
        if payload["interrupts"]:
            self._seen.interrupts[payload["id"]] = payload["interrupts"]
        elif payload["error"] is not None:
            self._seen.failed_node = payload["name"]
        else:
            self._seen.ended_nodes += 1

    # settle

    async def _settle(self, outcome: Outcome) -> Outcome:
        try:
            return await self._conclude(outcome)
        except Fenced:
            return Outcome(None, stop=Stop.LOST)
        except StoreUnavailable as error:
            return Outcome(None, stop=Stop.LOST, resolution=str(error))

    async def _conclude(self, outcome: Outcome) -> Outcome:
        if outcome.stop is Stop.LOST:
            return outcome
        if outcome.phase is None:
            released = await self._release()
            return outcome if released else Outcome(None, stop=Stop.LOST)
        word, _ = await self._settled_as(outcome)
        if word == "cancel":
            outcome = Outcome(Phase.CANCELLED, stop=Stop.CANCEL)
            word, _ = await self._settled_as(outcome)
        return outcome if word == "ok" else Outcome(None, stop=Stop.LOST)

    async def _release(self) -> bool:
        return await self.attempt.release(
            {
                "run_id": self.run.run_id,
                "attempt": self.attempt.number,
                "seq": 0,
                "counted": False,
                "reason": "handed back by a worker that stops",
                "delay_ms": 0,
                "usage": dumps(self._ceilings.used.public()).decode(),
                "entries": [],
            }
        )

    async def _settled_as(self, outcome: Outcome) -> tuple[str, str]:
        assert outcome.phase is not None
        phase, failure = outcome.phase, outcome.failure
        rollback = phase is Phase.CANCELLED and self.attempt.cancel is Action.ROLLBACK
        if rollback:
            await self._checkpointer.adelete_for_runs([self.run.run_id])
        state = await self._left_state(phase)
        shown = None if failure is None else dumps(failure.public())
        entries = [] if shown is None else [("error", f"event: error\r\ndata: {shown.decode()}\r\n", "")]
        return await self.attempt.settle(
            {
                "run_id": self.run.run_id,
                "attempt": self.attempt.number,
                "seq": 0,
                "phase": phase.value,
                "status": status_of(phase, failure.code if failure else None),
                "reason": failure.code if failure else "",
                "error": None if failure is None else dumps(failure.record(self.attempt.number)).decode(),
                "usage": dumps(self._ceilings.used.public()).decode(),
                "entries": entries,
                "result": "" if phase is Phase.CANCELLED else self._result(failure),
                "values": state.values,
                "interrupts": state.interrupts,
                "thread_status": "error" if failure else state.status,
                "thread_error": None if shown is None else shown.decode(),
                "rollback": rollback,
                "event_ttl_s": self._event_ttl_s,
            }
        )

    def _result(self, failure: Failure | None) -> str:
        """What `wait` and `join` answer with."""
        if failure is not None:
            return dumps({"__error__": failure.public()}).decode()
        values = self._seen.values
        if self._seen.asked:
            kept = {k: v for k, v in values.items() if k != INTERRUPT} if isinstance(values, dict) else {}
            return dumps({**kept, INTERRUPT: self._seen.asked}).decode()
        return dumps({} if values is None else values).decode()

    async def _left_state(self, phase: Phase) -> LeftState:
        """What the thread shows from now on. The stream has told everything unless the run was cut short, or its
        output is not its whole state."""
        known = phase in (Phase.COMPLETED, Phase.WAITING_FOR_APPROVAL) and self._seen.has_values
        assert known or phase is not Phase.COMPLETED or self._graph is not None
        if self._graph is None:
            return LeftState(None, "{}", "idle")
        if known and self._graph.output_channels == self._graph.stream_channels_asis:
            return LeftState.seen(self._seen, waits=phase is Phase.WAITING_FOR_APPROVAL)
        config: RunnableConfig = {"configurable": {"thread_id": self.run.thread_id}}
        return LeftState.of(await self._graph.aget_state(config))

    # report

    def _report(self, outcome: Outcome) -> None:
        facts: dict[str, Any] = {"run": self.run.run_id, "graph": self.run.graph_id, "attempt": self.attempt.number}
        if outcome.phase is None:
            log.info("run.left", why=outcome.stop, resolution=outcome.resolution, **facts)
            return
        used = self._ceilings.used
        code = outcome.failure.code if outcome.failure else None
        log.info(
            "run.settled", phase=outcome.phase, code=code, steps=used.steps, active_s=round(used.active_s, 3), **facts
        )


@dataclass(frozen=True, slots=True)
class LeftState:
    """A thread's state as its record shows it: JSON texts, and the status it rests with."""

    values: str | None
    interrupts: str
    status: str

    @classmethod
    def seen(cls, seen: Seen, *, waits: bool) -> LeftState:
        """From the stream."""
        values = seen.values
        if isinstance(values, dict) and INTERRUPT in values:
            values = {name: value for name, value in values.items() if name != INTERRUPT}
        shown = {task: [shown_interrupt(item) for item in items] for task, items in seen.interrupts.items()}
        return cls(dumps(values).decode(), dumps(shown).decode(), "interrupted" if waits else "idle")

    @classmethod
    def of(cls, snapshot: StateSnapshot) -> LeftState:
        """From the newest checkpoint."""
        asked = {
            task.id: [shown_interrupt(item) for item in task.interrupts] for task in snapshot.tasks if task.interrupts
        }
        status = "interrupted" if snapshot.next else "idle"
        return cls(dumps(snapshot.values).decode(), dumps(asked).decode(), status)


def shown_interrupt(item: Any) -> dict[str, Any]:
    """An interrupt in a thread's record: `response_schema` only where there is one (protocol 2.5)."""
    raw = (
        item
        if isinstance(item, dict)
        else {"id": item.id, "value": item.value, "response_schema": item.response_schema}
    )
    shown = {"id": raw["id"], "value": raw["value"]}
    return shown | ({"response_schema": raw["response_schema"]} if raw.get("response_schema") else {})
