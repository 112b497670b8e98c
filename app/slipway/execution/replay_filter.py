"""Filters the events of an attempt that continues an earlier one, so that the log contains each result once.

When an attempt continues after a crash, LangGraph streams again what the earlier attempt has streamed: the state and
the checkpoint from which it continues, the tasks of the superstep, and the results of the tasks that had finished. It
loads these results and streams them without the `tasks` event. Results of tasks that a node had called (`@task`) are
not streamed at all.

So each such event is appended with a mark that identifies its content. It is sent in one write group with the writes of
its task (`AttemptWriter.write`), so the result and its event are either both stored or both lost. The next attempt does
not append an event whose mark is in the log. If the log has no event for a stored result, because the writes were sent
before the event was available, the event is rebuilt from the stored writes.

A task that had not finished is executed again. Its events are appended again, after the `metadata` event that announces
the new attempt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from langgraph.checkpoint.serde.types import INTERRUPT
from langgraph.pregel.debug import map_task_result_writes

from slipway.checkpoints.moved_ids import known_task
from slipway.checkpoints.stored_results import RETURN, StoredResults, Writes
from slipway.execution.frames import LIFECYCLE, Frame, FrameEncoder
from slipway.execution.run_input import StartPlan
from slipway.runs.logged_events import LoggedEvents

Namespace = tuple[str, ...]

_METADATA: Final = "__metadata__"
_RESERVED: Final = ("__", "branch:")
"""The prefixes of channels that LangGraph adds to those that the graph declares."""


class LogEntry(NamedTuple):
    """One event for the log. `mark` identifies its content, so that a later attempt does not append it again."""

    name: str
    frame: bytes
    mark: str = ""


class ReplayFilter:
    """Filters the events of one attempt. `logged` is what earlier attempts have appended; None in the first attempt."""

    def __init__(
        self, frames: FrameEncoder, results: StoredResults, plan: StartPlan, logged: LoggedEvents | None
    ) -> None:
        self._frames, self._logged, self._plan = frames, logged, plan
        self._results = results
        self._updates: dict[Namespace, list[LogEntry]] = {}
        """Updates that wait for the event of their task, by namespace: the next result in the namespace."""
        self._replayed: dict[Namespace, deque[str]] = {}
        """The ids of tasks with stored results, in the order in which LangGraph streams their updates, by namespace."""
        self._started: set[Namespace] = set()
        """The namespaces in which a state was streamed."""

    def entries(self, namespace: Sequence[str], mode: str, payload: Any) -> Sequence[LogEntry]:
        """The events to append for one chunk of the stream."""
        frames = self._frames.encode(namespace, mode, payload)
        if not frames and not self._updates and not self._results:
            return ()  # no event now, and none that an earlier attempt has stored
        namespace = tuple(namespace)
        entries = [LogEntry(*frame) for frame in frames]
        if mode == "updates":
            return self._updates_entries(namespace, payload, entries)
        if not _starts_superstep(mode, payload):
            self._replayed.pop(namespace, None)
        if mode == "tasks":
            return self._task_entries(namespace, payload, entries)
        if mode == "debug":
            return self._debug_entries(namespace, payload, entries)
        if mode == "checkpoints":
            return self._marked_unless_logged(entries, f"c{_checkpoint_id(payload)}")
        if mode == "values":
            return self._values_entries(namespace, payload, entries)
        return entries

    def remaining_updates(self) -> list[LogEntry]:
        """The updates after which no result was streamed."""
        return [entry for updates in self._updates.values() for entry in updates]

    def _updates_entries(self, namespace: Namespace, payload: Any, entries: list[LogEntry]) -> list[LogEntry]:
        if INTERRUPT in payload:
            return self._without_logged(entries)
        if _METADATA not in payload:
            self._updates.setdefault(namespace, []).extend(entry for entry in entries if not _is_lifecycle(entry))
            return [entry for entry in entries if _is_lifecycle(entry)]
        replayed = self._replayed.get(namespace)
        if not replayed:
            return entries  # the result comes from the cache of the graph
        task_id = replayed.popleft()
        if self._continues:
            return [entry for entry in entries if _is_lifecycle(entry)]  # its update was appended with its start
        return self._marked_unless_logged(entries, f"r{task_id}")

    def _task_entries(
        self,
        namespace: Namespace,
        task: Mapping[str, Any],
        entries: list[LogEntry],
        debug: Mapping[str, Any] | None = None,
    ) -> list[LogEntry]:
        """The events of a task that starts or ends. `debug` is the chunk of the mode `debug` that contains the task, if
        that mode is streamed."""
        task_id, kind = task["id"], "" if debug is None else "d"
        if "triggers" not in task:
            interrupts = ",".join(str(item["id"]) for item in task["interrupts"])
            if interrupts:
                return self._marked_unless_logged(entries, f"{kind}q{known_task(task_id)}:{interrupts}")
            updates = self._updates.pop(namespace, []) if debug is None else []
            return _marked([*updates, *entries], f"{kind}r{known_task(task_id)}")
        stored = self._results.writes_of(task_id)
        task_id = known_task(task_id)
        if stored is not None and debug is None:
            self._replayed.setdefault(namespace, deque()).append(task_id)
        # If the run names an older checkpoint, LangGraph executes all tasks again. Only the updates show whether it
        # does.
        if stored is None or self._plan.checkpoint:
            return _marked(entries, f"{kind}s{task_id}")
        entries = self._marked_unless_logged(entries, f"{kind}s{task_id}")
        if self._continues and not self._is_logged(f"{kind}r{task_id}"):
            entries += _marked(self._rebuilt_entries(namespace, task, stored, debug), f"{kind}r{task_id}")
        return entries

    def _debug_entries(
        self, namespace: Namespace, payload: Mapping[str, Any], entries: list[LogEntry]
    ) -> list[LogEntry]:
        content = payload["payload"]
        if payload["type"] == "checkpoint":
            return self._marked_unless_logged(entries, f"dc{_checkpoint_id(content)}")
        return self._task_entries(namespace, content, entries, payload)

    def _values_entries(self, namespace: Namespace, payload: Any, entries: list[LogEntry]) -> list[LogEntry]:
        first = namespace not in self._started
        self._started.add(namespace)
        if first and not namespace and self._continues and self._plan.only_input_stored:
            # the checkpoint contains only the input, so this is not a state that the graph produced
            return [entry for entry in entries if _is_lifecycle(entry)]
        has_interrupts = isinstance(payload, dict) and bool(payload.get(INTERRUPT))
        return self._without_logged(entries) if first or has_interrupts else entries

    def _rebuilt_entries(
        self, namespace: Namespace, task: Mapping[str, Any], stored: Writes, debug: Mapping[str, Any] | None
    ) -> Iterator[LogEntry]:
        """The events of a result, from its stored writes."""
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
            yield from (LogEntry(*frame) for frame in self._frames.encode(namespace, mode, payload))

    @property
    def _continues(self) -> bool:
        """Whether this attempt continues a superstep of this run."""
        return self._logged is not None and self._plan.resumes_attempt

    def _is_logged(self, mark: str) -> bool:
        return self._logged is not None and mark in self._logged.marks

    def _marked_unless_logged(self, entries: list[LogEntry], mark: str) -> list[LogEntry]:
        if self._is_logged(mark):
            return [entry for entry in entries if _is_lifecycle(entry)]
        return _marked(entries, mark)

    def _without_logged(self, entries: list[LogEntry]) -> list[LogEntry]:
        if self._logged is None:
            return entries
        return [entry for entry in entries if _is_lifecycle(entry) or not self._logged.has_frame(entry.frame)]


def _marked(entries: Iterable[LogEntry], mark: str) -> list[LogEntry]:
    return [entry if _is_lifecycle(entry) else entry._replace(mark=mark) for entry in entries]


def _is_lifecycle(entry: LogEntry | Frame) -> bool:
    """Whether it is the event of a subgraph that starts or ends. A chunk can have such events in addition to its
    own."""
    name: str = entry[0]
    return name.startswith(LIFECYCLE)


def _starts_superstep(mode: str, payload: Any) -> bool:
    """Whether a chunk announces a task of a superstep that is about to start."""
    if mode == "debug":
        return bool(payload["type"] == "task")
    return mode == "tasks" and "triggers" in payload


def _checkpoint_id(payload: Mapping[str, Any]) -> str:
    return str(payload["config"]["configurable"]["checkpoint_id"])


def _is_declared(channel: str) -> bool:
    return not channel.startswith(_RESERVED)


def _update_of(stored: Writes) -> Any:
    """The update of a task, in the form in which LangGraph streams it."""
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
