"""What of a graph's stream goes into the run's log: each result once, also when an attempt died before it.

When an attempt continues where another has died, LangGraph streams again what the first had streamed: the state and the
checkpoint that it starts from, the tasks of the superstep, and the results of those that had finished. Results that it
takes from storage come without their `tasks` event; those of called tasks (`@task`) do not come at all.

So every entry of the log that holds such a thing is marked with what it is. The entry lands in one group with the
writes of its task (`Attempt.write`): a task whose result is stored has it in the log, and the other way round. The next
attempt drops what the marks of the log name. Where the log lacks the result of a task that is stored, because its
writes could not wait for the events, the events are made from the stored writes.

A task that had not finished is executed again, and what it streams is appended again, behind the `metadata` event with
the number of the attempt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from langgraph.checkpoint.serde.types import INTERRUPT
from langgraph.pregel.debug import map_task_result_writes

from slipway.checkpoints.stored_results import RETURN, StoredResults, Writes
from slipway.execution.frames import LIFECYCLE, Frame, FrameEncoder
from slipway.execution.run_input import StartPlan
from slipway.runs.logged_events import LoggedEvents

Namespace = tuple[str, ...]

_METADATA: Final = "__metadata__"
_RESERVED: Final = ("__", "branch:")
"""What the names of channels begin with that no graph has declared."""


class LogEntry(NamedTuple):
    """One event for the log. `mark` names the thing that it holds: a later attempt does not append it again."""

    name: str
    frame: bytes
    mark: str = ""


class ReplayFilter:
    """The entries of one attempt. `logged` is what earlier attempts have appended; None in the first attempt."""

    def __init__(
        self, frames: FrameEncoder, results: StoredResults, plan: StartPlan, logged: LoggedEvents | None
    ) -> None:
        self._frames, self._logged, self._plan = frames, logged, plan
        self._results = results
        self._updates: dict[Namespace, list[LogEntry]] = {}
        """Updates whose task is not known yet: it is that of the next result."""
        self._replayed: dict[Namespace, deque[str]] = {}
        """Tasks with stored results, in the order in which LangGraph streams their updates."""
        self._began: set[Namespace] = set()

    def entries(self, namespace: Sequence[str], mode: str, payload: Any) -> list[LogEntry]:
        """What is to be appended for one chunk of the stream."""
        namespace = tuple(namespace)
        made = [LogEntry(*frame) for frame in self._frames.of(namespace, mode, payload)]
        if mode == "updates":
            return self._updates_entries(namespace, payload, made)
        if not _starts_superstep(mode, payload):
            self._replayed.pop(namespace, None)
        if mode == "tasks":
            return self._task_entries(namespace, payload, made)
        if mode == "debug":
            return self._debug_entries(namespace, payload, made)
        if mode == "checkpoints":
            return self._append_unlogged(made, f"c{_checkpoint_id(payload)}")
        if mode == "values":
            return self._values_entries(namespace, payload, made)
        return made

    def remaining_updates(self) -> list[LogEntry]:
        """Updates after which no result came."""
        return [entry for held in self._updates.values() for entry in held]

    def _updates_entries(self, namespace: Namespace, payload: Any, made: list[LogEntry]) -> list[LogEntry]:
        if INTERRUPT in payload:
            return self._without_logged(made)
        if _METADATA not in payload:
            self._updates.setdefault(namespace, []).extend(entry for entry in made if not _is_lifecycle(entry))
            return [entry for entry in made if _is_lifecycle(entry)]
        replayed = self._replayed.get(namespace)
        if not replayed:
            return made  # the result is from the cache of the graph
        task_id = replayed.popleft()
        if self._continues:
            return [entry for entry in made if _is_lifecycle(entry)]  # appended where the task was announced
        return self._append_unlogged(made, f"r{task_id}")

    def _task_entries(
        self,
        namespace: Namespace,
        task: Mapping[str, Any],
        made: list[LogEntry],
        debug: Mapping[str, Any] | None = None,
    ) -> list[LogEntry]:
        """A task that begins or ends; `debug` is the chunk of that mode which holds it."""
        task_id, kind = task["id"], "" if debug is None else "d"
        if "triggers" not in task:
            asked = ",".join(str(item["id"]) for item in task["interrupts"])
            if asked:
                return self._append_unlogged(made, f"{kind}q{task_id}:{asked}")
            updates = self._updates.pop(namespace, []) if debug is None else []
            return _marked([*updates, *made], f"{kind}r{task_id}")
        stored = self._results.of(task_id)
        if stored is not None and debug is None:
            self._replayed.setdefault(namespace, deque()).append(task_id)
        # at an older checkpoint that the run names LangGraph executes all again: only the updates will tell
        if stored is None or self._plan.checkpoint:
            return _marked(made, f"{kind}s{task_id}")
        entries = self._append_unlogged(made, f"{kind}s{task_id}")
        if self._continues and not self._is_logged(f"{kind}r{task_id}"):
            entries += _marked(self._rebuilt_entries(namespace, task, stored, debug), f"{kind}r{task_id}")
        return entries

    def _debug_entries(self, namespace: Namespace, payload: Mapping[str, Any], made: list[LogEntry]) -> list[LogEntry]:
        inner = payload["payload"]
        if payload["type"] == "checkpoint":
            return self._append_unlogged(made, f"dc{_checkpoint_id(inner)}")
        return self._task_entries(namespace, inner, made, payload)

    def _values_entries(self, namespace: Namespace, payload: Any, made: list[LogEntry]) -> list[LogEntry]:
        first = namespace not in self._began
        self._began.add(namespace)
        if first and not namespace and self._continues and self._plan.only_input_stored:
            return [entry for entry in made if _is_lifecycle(entry)]  # an input is no state of its own
        asks = isinstance(payload, dict) and bool(payload.get(INTERRUPT))
        return self._without_logged(made) if first or asks else made

    def _rebuilt_entries(
        self, namespace: Namespace, task: Mapping[str, Any], stored: Writes, debug: Mapping[str, Any] | None
    ) -> Iterator[LogEntry]:
        """The events of a result of which there are only the writes."""
        returned = [write for write in stored if write[0] == RETURN or _is_declared(write[0])]
        result = {
            "id": task["id"],
            "name": task["name"],
            "error": None,
            "result": map_task_result_writes(returned),
            "interrupts": [],
        }
        chunks: list[tuple[str, Any]] = [("updates", {task["name"]: _update_of(stored)}), ("tasks", result)]
        if debug is not None:
            chunks = [("debug", {**debug, "type": "task_result", "payload": result})]
        for mode, payload in chunks:
            yield from (LogEntry(*frame) for frame in self._frames.of(namespace, mode, payload))

    @property
    def _continues(self) -> bool:
        """Whether the superstep that is continued is one of this run's."""
        return self._logged is not None and self._plan.resumes_attempt

    def _is_logged(self, mark: str) -> bool:
        return self._logged is not None and mark in self._logged.marks

    def _append_unlogged(self, made: list[LogEntry], mark: str) -> list[LogEntry]:
        if self._is_logged(mark):
            return [entry for entry in made if _is_lifecycle(entry)]
        return _marked(made, mark)

    def _without_logged(self, made: list[LogEntry]) -> list[LogEntry]:
        if self._logged is None:
            return made
        return [entry for entry in made if _is_lifecycle(entry) or not self._logged.has_frame(entry.frame)]


def _marked(made: Iterable[LogEntry], mark: str) -> list[LogEntry]:
    return [entry if _is_lifecycle(entry) else entry._replace(mark=mark) for entry in made]


def _is_lifecycle(entry: LogEntry | Frame) -> bool:
    """Whether an event tells that a graph inside begins or ends, and comes beside what the chunk is about."""
    name: str = entry[0]
    return name.startswith(LIFECYCLE)


def _starts_superstep(mode: str, payload: Any) -> bool:
    """Whether a chunk is one of those with which a superstep begins."""
    if mode == "debug":
        return bool(payload["type"] == "task")
    return mode == "tasks" and "triggers" in payload


def _checkpoint_id(payload: Mapping[str, Any]) -> str:
    return str(payload["config"]["configurable"]["checkpoint_id"])


def _is_declared(channel: str) -> bool:
    return not channel.startswith(_RESERVED)


def _update_of(stored: Writes) -> Any:
    """What a task returned, as LangGraph streams it."""
    for channel, value in stored:
        if channel == RETURN:
            return value
    update: list[dict[str, Any]] = [{channel: value} for channel, value in stored if _is_declared(channel)]
    names = [next(iter(each)) for each in update]
    if not update:
        return None
    if len(names) == len(set(names)):
        return {name: each[name] for name, each in zip(names, update, strict=True)}
    return update
