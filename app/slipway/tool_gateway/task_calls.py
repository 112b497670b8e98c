"""The calls of tools of one task: their keys, which questions are open, and which tools are executed now."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from langgraph.errors import GraphInterrupt

from slipway.tool_gateway.current_call import CurrentCall


@dataclass(frozen=True, slots=True)
class _Active:
    ended: asyncio.Future[None]
    recorded: bool


class TaskCalls:
    """The calls in one execution of a task. A retry of the node is another execution: its calls have the keys of the
    calls before, in the same order."""

    def __init__(self, task_id: str) -> None:
        self._task_id = task_id
        self.asking = asyncio.Lock()
        """Held by the call that asks people. LangGraph has one open interrupt for each task."""
        self.asked: GraphInterrupt | None = None
        """The open question, which ends the task."""
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._active: dict[str, _Active] = {}
        self._undecided: dict[str, set[str]] = {}
        """Calls about which nobody has decided, which wait in `answers_taken`: each with the calls that make it."""
        self._changed = asyncio.Event()

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
        self._active[key] = _Active(asyncio.get_running_loop().create_future(), recorded)
        try:
            yield
        finally:
            self.leave(key)

    def leave(self, key: str) -> None:
        """The call has ended, or is about to end the task. A repeated call does nothing."""
        found = self._active.pop(key, None)
        if found is not None:
            found.ended.set_result(None)
        self._undecided.pop(key, None)
        self._notify()

    def ask(self, question: GraphInterrupt) -> None:
        """The task ends with this question."""
        self.asked = question
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def answers_taken(self, key: str, parent: CurrentCall | None) -> None:
        """Waits until a call about which nobody has decided may ask: when the other calls of the task have taken their
        answers, so that this one does not get them. LangGraph gives the answers of a task to whoever asks first."""
        own = {key, *_with_parents(parent)}
        self._undecided[key] = own
        self._notify()
        while self.asked is None and self._active.keys() - own.union(*self._undecided.values()):
            await self._changed.wait()

    async def others_ended(self, parent: CurrentCall | None, *, recorded_only: bool = False) -> None:
        """Waits until no other call of the task is active, but for those that make the current one. What ends the task
        must not abandon a tool: its result could not be stored any more. `recorded_only`: only calls with a record."""
        own = set(_with_parents(parent))
        while others := [
            each.ended for key, each in self._active.items() if key not in own and (each.recorded or not recorded_only)
        ]:
            await asyncio.wait(others)


def _with_parents(call: CurrentCall | None) -> Iterator[str]:
    """The keys of a call, and of the calls that make it."""
    while call is not None:
        yield call.key
        call = call.parent
