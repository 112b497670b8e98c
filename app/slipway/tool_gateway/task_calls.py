"""The calls of tools of one task: their keys, the question that ends the task, and which tools are executed now."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from langgraph.errors import GraphInterrupt

from slipway.switches.attempt_switches import StoppedAtSwitch
from slipway.tool_gateway.current_call import CurrentCall


@dataclass(frozen=True, slots=True)
class _Active:
    ended: asyncio.Future[None]
    waits: asyncio.Future[None]
    """Has a result when the call has ended, or waits for one that its tool has made and that is about to end the
    task."""
    recorded: bool


class TaskCalls:
    """The calls in one execution of a task. A retry of the node is another execution: its calls have the keys of the
    calls before, in the same order."""

    def __init__(self, task_id: str) -> None:
        self._task_id = task_id
        self.ends_with: GraphInterrupt | None = None
        """What people are asked about a call, or by a tool. It ends the task, so no other call begins. The calls of one
        task are asked about in turn."""
        self.stopped: StoppedAtSwitch | None = None
        """A call stopped before a switch that is off, and so ends the task."""
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._active: dict[str, _Active] = {}

    def key_of(self, thread_id: str, tool: str, tool_call_id: str | None, digest: str) -> str:
        """The key of the next call with this name, id and hash. It is the same when the superstep is repeated: the task
        has the same id, and makes equal calls in the same order. 32 hexadecimal characters."""
        same = (tool, tool_call_id or "", digest)
        ordinal = self._counts[same]
        self._counts[same] += 1
        text = "\0".join((thread_id, self._task_id, *same, str(ordinal)))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @contextmanager
    def active(self, key: str, *, recorded: bool) -> Iterator[None]:
        """From before a call begins until it has ended, or waits for people."""
        loop = asyncio.get_running_loop()
        self._active[key] = _Active(loop.create_future(), loop.create_future(), recorded)
        try:
            yield
        finally:
            self.leave(key)

    def leave(self, key: str) -> None:
        """The call has ended, or is about to end the task. A repeated call does nothing."""
        found = self._active.pop(key, None)
        if found is not None:
            found.ended.set_result(None)
            _set(found.waits)

    async def others_ended(self, parent: CurrentCall | None, *, recorded_only: bool = False) -> None:
        """Waits until no other call of the task is active, but for those that make the current one. What ends the task
        must not abandon a tool: its result could not be stored any more. `recorded_only`: only calls with a record.

        If tools have made both the current call and another one that waits here, each would wait for the tool of the
        other: so only the calls that the node makes itself wait for tools that wait."""
        own = set(_with_parents(parent))
        for key in own & self._active.keys():
            _set(self._active[key].waits)
        while others := [
            each.ended if parent is None else each.waits
            for key, each in self._active.items()
            if key not in own and (each.recorded or not recorded_only) and (parent is None or not each.waits.done())
        ]:
            await asyncio.wait(others)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _with_parents(call: CurrentCall | None) -> Iterator[str]:
    """The keys of a call, and of the calls that make it."""
    while call is not None:
        yield call.key
        call = call.parent
