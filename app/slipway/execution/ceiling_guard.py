"""Ceilings at node boundaries: what stops a run that would not stop by itself.

A `CeilingGuard` hears of every superstep before its nodes run, and holds two timers: one for the superstep, one for the
chain's active seconds. Retries are counted where LangGraph asks whether to retry: `count_retries` wraps each node's
`RetryPolicy` once, when the graph is loaded, and the running attempt's guard is found through a context variable.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final

from langgraph.pregel import Pregel
from langgraph.types import RetryPolicy

from slipway.ceilings import Ceilings
from slipway.errors import CeilingHit
from slipway.graphs.served_graphs import Graph

PUSH: Final = "__pregel_push"
"""What triggers a task that was sent (`Send`) or called (`@task`)."""

_current: ContextVar[CeilingGuard | None] = ContextVar("guard", default=None)
_instrumented: weakref.WeakSet[Any] = weakref.WeakSet()


class CeilingGuard:
    """One attempt's ceilings and timers. `on_timeout` is called when a timer runs out; `tripped` is the first ceiling
    that was reached, however it came to light."""

    def __init__(self, ceilings: Ceilings, on_timeout: Callable[[], None]) -> None:
        self.ceilings = ceilings
        self.ceiling_hit: CeilingHit | None = None
        self._on_timeout = on_timeout
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._step: asyncio.TimerHandle | None = None
        self._whole: asyncio.TimerHandle | None = None
        self.superstep_begins = False
        """Whether the tasks that LangGraph announces now are those with which a superstep begins."""
        self._tasks_begin = False
        """Whether no task has ended since the last one began."""
        self._nodes: Collection[str] = ()
        self._failed = Counter[str]()

    def start(self) -> None:
        """The attempt begins: its clock runs, and its tasks find this guard."""
        _current.set(self)
        self._whole = self._loop.call_later(max(self.ceilings.active_left_s, 0), self._on_timer, "time")

    def stop(self) -> None:
        """The attempt is over: no timer is left, and its seconds are added to the chain's."""
        for timer in (self._step, self._whole):
            if timer is not None:
                timer.cancel()
        self.count_time()

    def count_time(self) -> None:
        """Add the seconds since the last count."""
        now = self._loop.time()
        self.ceilings.usage.active_s += now - self._began
        self._began = now

    def watch(self, graph: Graph) -> None:
        """Count the tasks of this graph."""
        self._nodes = graph.nodes.keys()

    def task_started(self, task: Mapping[str, Any]) -> bool:
        """A task is about to be executed. True when it is the first since a task has ended: of a superstep, or of those
        that a node calls one after the other. Raises `CeilingHit` before a superstep that is beyond a ceiling runs."""
        node, task_id = task["name"], task["id"]
        if not self.superstep_begins and not self._is_call(task):
            self._counted(lambda: self.ceilings.count_superstep(node, task_id))
            self.superstep_begins = True
        self._counted(lambda: self.ceilings.count_visit(node, task_id))
        first = not self._tasks_begin
        if first:
            self._tasks_begin = True
            if self._step is not None:
                self._step.cancel()
            self._step = self._loop.call_later(self.ceilings.step_s, self._on_timer, "step_time")
        return first

    def _is_call(self, task: Mapping[str, Any]) -> bool:
        """Whether a node of the present superstep called the task (`@task`): its name is its function's, and its input
        the function's arguments."""
        if tuple(task["triggers"]) != (PUSH,):
            return False
        match task["input"]:
            case (tuple(), dict()):
                return True
        return task["name"] not in self._nodes

    def task_ended(self) -> None:
        """A task has ended."""
        self._tasks_begin = self.superstep_begins = False

    def superstep_ended(self) -> None:
        """All tasks of a superstep have ended, also those whose results LangGraph had stored already."""
        self.superstep_begins = False

    def may_retry(self, task: str, max_attempts: int) -> bool:
        """A task failed and would be retried; after its last attempt it asks as well, which is no retry."""
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

    def _counted(self, count: Callable[[], None]) -> None:
        try:
            count()
        except CeilingHit as hit:
            self.ceiling_hit = self.ceiling_hit or hit
            raise

    def _on_timer(self, ceiling: str) -> None:
        self.count_time()
        used = self.ceilings.step_s if ceiling == "step_time" else self.ceilings.usage.active_s
        self.ceiling_hit = self.ceiling_hit or self.ceilings.error_for(ceiling, used)
        self._on_timeout()


class _CountingRetryPolicy:
    """Asks the node's own policy first, then the run's ceiling."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy

    def __call__(self, error: Exception) -> bool:
        if not wants_retry(self._policy, error):
            return False
        guard = _current.get()
        return guard is None or guard.may_retry(_task_of(error), self._policy.max_attempts)


def _task_of(error: Exception) -> str:
    """LangGraph notes on an error which task it came from, the last time where it passed through several."""
    try:
        return str(getattr(error, "__notes__", [""])[-1])
    except Exception:  # a class may have an attribute of this name
        return ""


def wants_retry(policy: RetryPolicy, error: Exception) -> bool:
    """What a `RetryPolicy` says of an error: its `retry_on` is a class, several classes, or a question."""
    retry_on = policy.retry_on
    if isinstance(retry_on, type):
        return isinstance(error, retry_on)
    if isinstance(retry_on, Sequence):
        return isinstance(error, tuple(retry_on))
    return bool(retry_on(error))


def count_retries(graph: Graph) -> None:
    """Count the retries of a graph's nodes, and of its subgraphs', from now on. Done once a graph."""
    if graph in _instrumented:
        return
    _instrumented.add(graph)
    graph.retry_policy = _counted(graph.retry_policy)
    for node in graph.nodes.values():
        if node.retry_policy:
            node.retry_policy = _counted(node.retry_policy)
        for subgraph in node.subgraphs or ():
            if isinstance(subgraph, Pregel):
                count_retries(subgraph)


def _counted(policies: Sequence[RetryPolicy] | RetryPolicy) -> Sequence[RetryPolicy]:
    several = (policies,) if isinstance(policies, RetryPolicy) else policies
    return tuple(_with_counting(policy) for policy in several)


def _with_counting(policy: RetryPolicy) -> RetryPolicy:
    if isinstance(policy.retry_on, _CountingRetryPolicy):
        return policy
    return policy._replace(retry_on=_CountingRetryPolicy(policy))
