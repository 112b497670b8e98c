"""The tasks that a checkpoint would start or has under way, and the joins that wait in it.

LangGraph starts a node if one of its channels has a value and a version that the node has not seen. A join has a value
when it has seen all its nodes, and the channel of a node that is deferred only when everything else has ended; here it
counts as next at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME, TASKS
from langgraph.types import Send

from slipway.checkpoints.checkpoint_head import CheckpointHead, HeadWrite
from slipway.checkpoints.interrupt_answers import MARK, NULL_TASK
from slipway.checkpoints.task_ids import send_task_id, task_id
from slipway.graphs.structure import GraphStructure
from slipway.graphs.verdict import PendingTask
from slipway.thread_positions.task_paths import task_path

START: Final = "__start__"
_BRANCH: Final = "branch:to:"
_JOIN: Final = "join:"
_RETURN: Final = "__return__"
_ERRORS: Final = frozenset({ERROR, "__error_source_node__"})

TaskKey = str | int
"""The name of a node, or the position of a `Send`."""


@dataclass(frozen=True, slots=True)
class FoundTask:
    """A task, and the id under which LangGraph stores what belongs to it; "" if it is not known."""

    task: PendingTask
    task_id: str


@dataclass(slots=True)
class _StoredParts:
    """What the pending writes of one task say."""

    task_id: str = ""
    interrupted: bool = False
    started: bool = False
    finished: bool = False


@dataclass(slots=True)
class FoundTasks:
    """What is under way in one checkpoint."""

    tasks: list[FoundTask]
    written: set[str]
    """The channels to which finished tasks, or commands, have written."""
    waiting_joins: dict[str, list[str]]


@dataclass(slots=True)
class _Writes:
    """The pending writes of a checkpoint, by task."""

    parts: dict[TaskKey, _StoredParts] = field(default_factory=lambda: defaultdict(_StoredParts))
    channels: set[str] = field(default_factory=set)
    sends: list[str] = field(default_factory=list)
    joined: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, write: HeadWrite, sends: Sequence[str]) -> None:
        if write.task_id == NULL_TASK:
            if write.channel != RESUME:
                self._add_value(write, "")
            return
        path = task_path(write.task_path)
        if path is None:
            return
        key = path.send if path.node is None else path.node
        assert key is not None
        parts = self.parts[key]
        if path.is_call:
            parts.started = parts.started or write.channel in (_RETURN, RESUME)
            return
        parts.task_id = write.task_id
        if write.channel == INTERRUPT:
            parts.interrupted = True
        elif write.channel == RESUME:
            parts.started = True
        elif write.channel not in _ERRORS:
            parts.finished = True
            node = path.node or (sends[key] if isinstance(key, int) and key < len(sends) else "")
            self._add_value(write, node)

    def _add_value(self, write: HeadWrite, node: str) -> None:
        if write.channel == MARK:  # a task that has written nothing, or an answer that was used
            return
        if write.channel == TASKS:
            self.sends += nodes_of(write.value)
        elif write.channel.startswith(_JOIN):
            self.joined[write.channel].add(node)
        else:
            self.channels.add(write.channel)


def tasks_of(head: CheckpointHead, structure: GraphStructure | None, namespace: str) -> FoundTasks:
    """`structure` is that of the version that has written the checkpoint. Without it, nodes are known from the names of
    LangGraph's channels only."""
    sends, writes = nodes_of(head.own_values.get(TASKS)), _Writes()
    for write in head.writes:
        writes.add(write, sends)
    started = _started(head, structure, writes)
    step = head.step + 1
    found = [
        FoundTask(
            _pending(node, writes.parts.get(node), tuple(sorted(channels))),
            _task_id(head, structure, namespace, step, node, writes.parts.get(node)),
        )
        for node, channels in started.items()
    ]
    for position, node in enumerate(sends):
        parts = writes.parts.get(position)
        known = parts.task_id if parts else ""
        sent_id = known or send_task_id(head.checkpoint_id, namespace, step, node, position)
        found.append(FoundTask(_pending(node, parts, (), is_send=True), sent_id))
    next_tasks, waiting = _next(head, writes, started)
    found += [FoundTask(task, "") for task in next_tasks]
    return FoundTasks(found, writes.channels, waiting)


def nodes_of(value: Any) -> list[str]:
    """The nodes that `Send`s start. `value` is one, or what the channel of them has stored."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], list):  # LangGraph before 0.4
        value = value[1]
    return [each.node for each in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(each, Send)]


def _started(head: CheckpointHead, structure: GraphStructure | None, writes: _Writes) -> dict[str, list[str]]:
    """By node, the channels that start it now."""
    if structure is not None:
        candidates: Iterable[tuple[str, str]] = (
            (name, channel) for name, node in structure.nodes.items() for channel in node.triggers
        )
    else:
        candidates = _named_by_channels(head, writes)
    started: dict[str, list[str]] = defaultdict(list)
    for node, channel in candidates:
        if _is_new(head, node, channel):
            started[node].append(channel)
    return started


def _named_by_channels(head: CheckpointHead, writes: _Writes) -> Iterator[tuple[str, str]]:
    for channel in head.versions:
        if channel.startswith(_BRANCH):
            yield channel[len(_BRANCH) :], channel
        elif channel.startswith(_JOIN):
            yield channel.rpartition(":")[2], channel
        elif channel == START:
            # the node of an entrypoint has the name of its function, which only its own writes tell
            names = [key for key in writes.parts if isinstance(key, str) and f"{_BRANCH}{key}" not in head.versions]
            yield from ((name, channel) for name in names or [START])


def _is_new(head: CheckpointHead, node: str, channel: str) -> bool:
    if channel not in head.channels or (channel.startswith(_JOIN) and not _is_complete(channel, _seen(head, channel))):
        return False
    seen = head.versions_seen.get(node)
    if seen is None or channel not in seen:
        return True
    version: Any = head.versions.get(channel)
    return version is not None and bool(version > seen[channel])


def _seen(head: CheckpointHead, channel: str) -> set[str]:
    value = head.own_values.get(channel)
    if isinstance(value, tuple):  # of a deferred node: what was seen, and whether everything else has ended
        value = value[0]
    return set(value or ())


def _is_complete(channel: str, seen: Iterable[str]) -> bool:
    """The name of a join lists its nodes, so it has seen all if their names are as long as the list."""
    return len("+".join(seen)) == len(channel[len(_JOIN) :].rpartition(":")[0])


def _pending(node: str, parts: _StoredParts | None, triggers: tuple[str, ...], *, is_send: bool = False) -> PendingTask:
    if parts is None:
        return PendingTask(node, triggers, is_send)
    if parts.finished:
        return PendingTask(node, triggers, is_send, finished=True)
    return PendingTask(node, triggers, is_send, parts.interrupted, parts.started)


def _task_id(
    head: CheckpointHead,
    structure: GraphStructure | None,
    namespace: str,
    step: int,
    node: str,
    parts: _StoredParts | None,
) -> str:
    if parts is not None and parts.task_id:
        return parts.task_id
    if structure is None:  # all channels that may start the node are part of the id
        return ""
    return task_id(head.checkpoint_id, namespace, step, node, structure.nodes[node].triggers)


def _next(
    head: CheckpointHead, writes: _Writes, started: Mapping[str, object]
) -> tuple[list[PendingTask], dict[str, list[str]]]:
    """The nodes that follow tasks which have finished, and the joins that wait after them."""
    tasks = [
        PendingTask(channel[len(_BRANCH) :], (channel,), follows=True)
        for channel in sorted(writes.channels)
        if _follows(channel, started)
    ]
    tasks += [PendingTask(node, is_send=True, follows=True) for node in writes.sends]
    waiting: dict[str, list[str]] = {}
    for channel in sorted({*head.channels, *writes.joined}):
        if channel.startswith(_JOIN):
            before = _seen(head, channel)
            seen = before | writes.joined.get(channel, set())
            end = channel.rpartition(":")[2]
            if seen and not _is_complete(channel, seen):
                waiting[channel] = sorted(seen)
            elif seen != before and end not in started:
                tasks.append(PendingTask(end, (channel,), follows=True))
    return tasks, waiting


def _follows(channel: str, started: Mapping[str, object]) -> bool:
    return channel.startswith(_BRANCH) and channel[len(_BRANCH) :] not in started
