"""Enforces ceilings while a graph executes: supersteps, node visits, retries and seconds.

A `CeilingGuard` counts every superstep before its nodes run. It has two timers: one for the seconds of a superstep, and
one for the active seconds of the chain. Each first ends when a warning is due. Retries are counted when LangGraph calls
the `RetryPolicy` of a node: `count_retries` replaces each policy once, when the graph is opened. The new policy finds
the guard of the attempt through a context variable.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final

from langgraph.pregel import Pregel
from langgraph.types import RetryPolicy

from slipway.accounting.counting import WARNING_AT, Ceilings
from slipway.checkpoints.moved_ids import known_node
from slipway.errors import CeilingHit
from slipway.graphs.interface import Graph

PUSH: Final = "__pregel_push"
"""The trigger of tasks that a node sends (`Send`) or calls (`@task`)."""

_current: ContextVar[CeilingGuard | None] = ContextVar("guard", default=None)
_instrumented: weakref.WeakSet[Any] = weakref.WeakSet()


class CeilingGuard:
    """Counts the supersteps, visits and retries of one attempt and measures its seconds. `on_timeout` is called when a
    timer ends, `warn_of_step` with the seconds of a superstep that has used most of them."""

    def __init__(
        self,
        ceilings: Ceilings,
        on_timeout: Callable[[], None],
        warn_of_step: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.ceilings = ceilings
        self.ceiling_hit: CeilingHit | None = None
        """The first ceiling that was hit, by a counter or by a timer."""
        self._on_timeout, self._warn_of_step = on_timeout, warn_of_step
        self._loop = asyncio.get_running_loop()
        self._step_timer: asyncio.TimerHandle | None = None
        self._step_due_s = ceilings.step_s * (1 if "step_s" in ceilings.usage.warned else WARNING_AT)
        """Seconds after which something is due in a superstep: the warning, or its end if the chain was warned."""
        self._step_due_at = 0.0
        """When it is due in the current superstep. `_step_timer` waits for this time or for that of an earlier
        superstep, because starting a timer for each superstep costs more CPU than counting it."""
        self._active_timer: asyncio.TimerHandle | None = None
        self.superstep_starting = False
        """Whether LangGraph is streaming the `tasks` chunks that announce a superstep."""
        self._tasks_starting = False
        """Whether no task has ended since the last task started."""
        self._running: set[str] = set()
        """The ids of the tasks that have started and not ended, including tasks that a node calls."""
        self._nodes: Collection[str] = ()
        self._failed = Counter[str]()

    def start(self) -> None:
        """Starts the timer of the chain. Retries in asyncio tasks that are created from now on are counted by this
        guard."""
        _current.set(self)
        self.ceilings.counted_until = self._loop.time()
        left_s, warned_for_s = self.ceilings.active_left_s, self.ceilings.limits["max_active_s"] * (1 - WARNING_AT)
        if left_s > warned_for_s:
            self._active_timer = self._loop.call_later(left_s - warned_for_s, self._on_warning_time)
        else:
            self._start_active_timer()

    def _on_warning_time(self) -> None:
        self.count_time()
        self._start_active_timer()

    def _start_active_timer(self) -> None:
        self._active_timer = self._loop.call_later(max(self.ceilings.active_left_s, 0), self._on_timer, "time")

    def stop(self) -> None:
        """Stops the timers and adds the seconds of the attempt to the usage."""
        for timer in (self._step_timer, self._active_timer):
            if timer is not None:
                timer.cancel()
        self._step_timer = self._active_timer = None  # they refer to this guard: a cycle
        self.count_time()

    def count_time(self) -> None:
        """Adds the seconds since the last call to the usage."""
        self.ceilings.count_time(self._loop.time())

    def watch(self, graph: Graph) -> None:
        """Sets the graph whose tasks are counted."""
        self._nodes = graph.nodes.keys()

    def task_started(self, task: Mapping[str, Any]) -> bool:
        """Counts a task that will be executed. Returns True if it is the first task of a superstep, or the first that a
        node calls after another called task has ended. Raises `CeilingHit` if the superstep or the visit would exceed a
        ceiling; no node of the superstep has run then."""
        node, task_id = task["name"], task["id"]
        if not self.superstep_starting and not self.is_call(task):
            self._count(self.ceilings.count_superstep, node, task_id)
            self.superstep_starting = True
            self._running.clear()
        self._count(self.ceilings.count_visit, node, task_id)
        self._running.add(task_id)
        first = not self._tasks_starting
        if first:
            self._tasks_starting = True
            self._step_due_at = self._loop.time() + self._step_due_s
            if self._step_timer is None:
                self._step_timer = self._loop.call_at(self._step_due_at, self._on_step_timer)
        return first

    def is_call(self, task: Mapping[str, Any]) -> bool:
        """Whether a node of the current superstep called the task (`@task`). Such a task is named after its function,
        and its input is the arguments of the function."""
        if tuple(task["triggers"]) != (PUSH,):
            return False
        match task["input"]:
            case (tuple(), dict()):
                return True
        return task["name"] not in self._nodes

    def task_ended(self, task: Mapping[str, Any]) -> bool:
        """Returns True if all tasks that have started in this superstep have ended. If the last one has blocked the
        event loop for too long, the timer has not ended yet, so this acts as the timer."""
        self._tasks_starting = self.superstep_starting = False
        has_started = task["id"] in self._running  # not a result that an earlier attempt has stored
        self._running.discard(task["id"])
        if self._running:
            return False
        if has_started and (now := time.monotonic()) > self._step_due_at:  # `loop.time` is that of the iteration
            self._on_step_due(now)
        return True

    def superstep_ended(self) -> None:
        """Records that all tasks of the superstep have ended, including tasks whose stored results LangGraph has
        loaded."""
        self.superstep_starting = False

    def may_retry(self, task: str, max_attempts: int) -> bool:
        """Whether a failed task that its policy would retry may be retried; counts the retry. LangGraph also calls the
        policy after the last attempt of a task; no retry follows, so it is not counted."""
        if self.ceiling_hit is not None:
            return False
        self._failed[task] += 1
        if self._failed[task] >= max_attempts:
            return True
        try:
            self.ceilings.count_retry()
        except CeilingHit as hit:
            self.ceiling_hit = hit
            return False
        return True

    def _count(self, count: Callable[[str, str], None], node: str, task_id: str) -> None:
        """A superstep that is repeated after a move of its thread has other ids and names, and is not counted again."""
        try:
            count(*known_node(node, task_id))
        except CeilingHit as hit:
            self.ceiling_hit = self.ceiling_hit or hit
            raise

    def _on_step_timer(self) -> None:
        now = self._loop.time()
        if now < self._step_due_at or self._on_step_due(now):
            self._step_timer = self._loop.call_at(self._step_due_at, self._on_step_timer)

    def _on_step_due(self, now: float) -> bool:
        """Warns of the seconds of the superstep, or ends it. Returns whether it may continue."""
        if self._step_due_s < (limit_s := self.ceilings.step_s):
            started_at = self._step_due_at - self._step_due_s
            self._step_due_s, self._step_due_at = limit_s, started_at + limit_s
            if now < self._step_due_at:
                self._warn_of_step(round(now - started_at, 3))
                return True
        self._on_timer("step_time")
        return False

    def _on_timer(self, ceiling: str) -> None:
        self.count_time()
        used = self.ceilings.step_s if ceiling == "step_time" else self.ceilings.usage.active_s
        self.ceiling_hit = self.ceiling_hit or self.ceilings.error_for(ceiling, used)
        self._on_timeout()


class _CountingRetryPolicy:
    """Replaces the `retry_on` of a policy: the original `retry_on` decides first, then the ceiling."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy

    def __call__(self, error: Exception) -> bool:
        if not wants_retry(self._policy, error):
            return False
        guard = _current.get()
        return guard is None or guard.may_retry(_task_of(error), self._policy.max_attempts)


def _task_of(error: Exception) -> str:
    """The task that raised `error`, from the notes that LangGraph adds to it. The last note names the outermost
    task."""
    try:
        return str(getattr(error, "__notes__", [""])[-1])
    except Exception:  # a class of the project may define `__notes__` as any object
        return ""


def wants_retry(policy: RetryPolicy, error: Exception) -> bool:
    """Whether the policy would retry after this error. Its `retry_on` is a class, a sequence of classes, or a
    function."""
    retry_on = policy.retry_on
    if isinstance(retry_on, type):
        return isinstance(error, retry_on)
    if isinstance(retry_on, Sequence):
        return isinstance(error, tuple(retry_on))
    return bool(retry_on(error))


def count_retries(graph: Graph) -> None:
    """From now on, the retries of the graph's nodes and of its subgraphs are counted. A repeated call does nothing."""
    if graph in _instrumented:
        return
    _instrumented.add(graph)
    graph.retry_policy = _all_with_counting(graph.retry_policy)
    for node in graph.nodes.values():
        if node.retry_policy:
            node.retry_policy = _all_with_counting(node.retry_policy)
        for subgraph in node.subgraphs or ():
            if isinstance(subgraph, Pregel):
                count_retries(subgraph)


def _all_with_counting(policies: Sequence[RetryPolicy] | RetryPolicy) -> Sequence[RetryPolicy]:
    several = (policies,) if isinstance(policies, RetryPolicy) else policies
    return tuple(_with_counting(policy) for policy in several)


def _with_counting(policy: RetryPolicy) -> RetryPolicy:
    if isinstance(policy.retry_on, _CountingRetryPolicy):
        return policy
    return policy._replace(retry_on=_CountingRetryPolicy(policy))
