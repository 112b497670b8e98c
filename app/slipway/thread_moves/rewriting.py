"""Rewrites the unfinished superstep of a stored thread for the graph of another version.

The result is what LangGraph itself would have stored: a new checkpoint of the graph, and for each subgraph that a task
of the superstep has started a copy of its newest checkpoint. The ids of tasks are made of the id of the checkpoint and
of the names of nodes, so all of them change: what tasks have written, what they have asked and what people have
answered gets the new ids. The ids of the open questions themselves stay (`moved_ids.py`), because clients and reviews
have them.

Nothing here writes. A thread that cannot be carried over raises `CannotMove`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langgraph.checkpoint.base import ChannelVersions, Checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME, TASKS
from langgraph.constants import START
from langgraph.types import PregelTask, Send

from slipway.checkpoints.base_checkpointer import BaseCheckpointer, StoredWrite
from slipway.checkpoints.interrupt_answers import MARK, NULL_TASK
from slipway.checkpoints.moved_ids import OF_MOVE
from slipway.checkpoints.stored_results import RETURN
from slipway.checkpoints.task_ids import call_task_id, namespace_of_call, send_task_id
from slipway.exception_text import class_name, message_of
from slipway.graphs.interface import Graph
from slipway.graphs.migration_set import NO_MIGRATIONS, MigrationSet, Pair, place_of
from slipway.thread_moves import task_paths
from slipway.thread_moves.channels import (
    BRANCH,
    renamed_channel,
    schema_problem,
    started_by,
    state_of,
)
from slipway.thread_moves.checkpoint_builder import CheckpointBuilder
from slipway.thread_moves.errors import CannotMove, MigrationFailed
from slipway.thread_moves.migrating import MigratedState, migrated
from slipway.thread_moves.new_tasks import UnstoredThread, nodes_of, subgraph_at
from slipway.thread_moves.stored_thread import StoredCheckpoint, StoredThread

_OF_TASK: Final = frozenset({ERROR, INTERRUPT, RESUME, RETURN, MARK})
"""Channels that no graph declares, in which tasks store what happened to them."""
_ERROR_SOURCE: Final = "__error_source_node__"
_UNFINISHED: Final = frozenset({ERROR, INTERRUPT, RESUME, RETURN, _ERROR_SOURCE})
"""Channels that a task may write to without having finished."""


@dataclass(frozen=True, slots=True)
class NewCheckpoint:
    """One checkpoint to be stored."""

    namespace: str
    parent_id: str
    """Empty for the first of its namespace."""
    checkpoint: Checkpoint
    metadata: Mapping[str, Any]
    new_versions: ChannelVersions
    """The versions of channels whose values are not stored yet."""
    writes: Sequence[StoredWrite]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What is to be stored, the checkpoint of the graph first."""

    checkpoints: Sequence[NewCheckpoint]
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Nodes of the graph that have another name, old to new."""
    pending: Sequence[PregelTask] = ()
    """The tasks that the new checkpoint of the graph starts."""
    values: dict[str, Any] = field(default_factory=dict)
    """The state of the graph."""
    tasks: Mapping[str, str] = field(default_factory=dict)
    """The new ids of the tasks of the graph, by those that they have at the newest checkpoint before the move."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the tasks of a namespace were, and where they are now."""

    old_namespace: str
    old_id: str
    namespace: str
    checkpoint_id: str
    step: int


@dataclass(slots=True)
class Rewriting:
    """The rewriting of one thread. `calls` are the names of the functions with `@task` that its old code may call."""

    thread: StoredThread
    graph: Graph
    checkpointer: BaseCheckpointer
    versions: Pair
    calls: Sequence[str] = ()
    migrations: MigrationSet = NO_MIGRATIONS
    path: Sequence[Pair] = ()
    drops_tasks: bool = False
    """Whether what is under way is left out, because an input follows."""
    after: StoredCheckpoint | None = None
    """The newest checkpoint of the graph, if `thread` is at an earlier one."""
    schema: str = ""
    """The schema of the code that wrote `thread`, for the verdict when it goes back. Empty if it is not known."""
    new_id: Callable[[], str] = lambda: str(uuid6(clock_seq=-2))
    _unstored: UnstoredThread = field(init=False)
    _namespaces: dict[str, str] = field(default_factory=dict)
    """Old namespaces of tasks to new ones."""
    _tasks: dict[str, str] = field(default_factory=dict)
    """Old ids of tasks to new ones."""
    _finished: set[str] = field(default_factory=set)
    """Old namespaces of tasks that have finished: their subgraphs are not read again."""
    _ids: dict[str, str] = field(default_factory=dict)
    """Ids of the checkpoints of enclosing graphs, by new namespace."""
    _values: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._unstored = UnstoredThread(self.thread.thread_id)

    async def rewritten(self) -> Rewritten:
        """Raises `CannotMove` or `MigrationFailed`."""
        root, nodes, pending = await self._rewritten(self.thread.root, "")
        inside = []
        for each in () if self.drops_tasks else self.thread.inside:
            namespace = self._moved(each)
            if namespace is not None:
                inside.append((await self._rewritten(each, namespace))[0])
        stored = [len(root.writes), *sorted(map(_text_of, inside))]
        ids = self._moved_ids()
        root.metadata[OF_MOVE] |= {**ids, "stored": stored}  # type: ignore[index]
        return Rewritten([root, *inside], nodes, pending, self._values, self._renamed_tasks(ids["tasks"]))

    def _moved(self, stored: StoredCheckpoint) -> str | None:
        """The new namespace of a subgraph. None if it stays where it is: it has a state of its own, which does not
        depend on the checkpoint of the graph, or its task has ended."""
        parent, _, last = stored.namespace.rpartition("|")
        if not self._finished.isdisjoint({stored.namespace, parent}):
            return None
        if last.isdigit():
            enclosing = self._namespaces.get(parent)
            return None if enclosing is None else f"{enclosing}|{last}"
        if ":" not in last:
            self._require_unchanged(stored)
            return None
        return self._namespaces.get(stored.namespace)

    def _require_unchanged(self, stored: StoredCheckpoint) -> None:
        path = nodes_of(stored.namespace)
        if any(self.migrations.steps[pair].of(path) for pair in self.path):
            raise CannotMove(
                "subgraph.own_state",
                f"subgraph {path!r} keeps a state of its own over many runs, which no migration can change: let its "
                "nodes read the old state",
            )

    async def _rewritten(
        self, stored: StoredCheckpoint, namespace: str
    ) -> tuple[NewCheckpoint, Mapping[str, str], Sequence[PregelTask]]:
        graph = subgraph_at(self.graph, namespace)
        path = nodes_of(stored.namespace)
        if graph is None:
            raise CannotMove(
                "subgraph.missing",
                f"subgraph {nodes_of(namespace)!r} is under way, and the new version declares no graph in this node",
            )
        before = MigratedState(
            await state_of(stored, graph, self.checkpointer, self.thread.thread_id),
            stored.checkpoint["channel_values"].get(START),
            [each for each in stored.checkpoint["channel_values"].get(TASKS, ()) if isinstance(each, Send)],
        )
        after = await migrated(before, _pending_in(stored), self.migrations, self.path, path)
        checkpoint = CheckpointBuilder(stored, graph, before, after, self.checkpointer.get_next_version).checkpoint()
        root = not stored.namespace
        if root:
            newest = stored if self.after is None else self.after
            checkpoint["id"] = task_paths.later_id(newest.id, self.new_id())
            self._values = dict(after.values)
        metadata = self._metadata(stored, namespace)
        self._ids[namespace] = checkpoint["id"]
        self._unstored.hold(namespace, checkpoint, metadata)
        tasks = await self._tasks_of(stored, graph, namespace, after)
        place = _Place(stored.namespace, stored.id, namespace, checkpoint["id"], stored.step)
        if not self.drops_tasks:
            self._match(stored, place, tasks, after)
        writes = self._writes(stored, graph, after)
        versions = checkpoint["channel_versions"]
        known = stored.checkpoint["channel_versions"] if root else {}
        new_versions = {
            channel: version
            for channel, version in versions.items()
            if channel in checkpoint["channel_values"] and known.get(channel) != version
        }
        parent = stored.id if root else ""
        return NewCheckpoint(namespace, parent, checkpoint, metadata, new_versions, writes), after.nodes, tasks

    async def _tasks_of(
        self, stored: StoredCheckpoint, graph: Graph, namespace: str, after: MigratedState
    ) -> Sequence[PregelTask]:
        try:
            tasks = await self._unstored.tasks(self.graph, namespace)
        except Exception as error:  # the project's classes of the state may raise anything
            problem = f"{class_name(error)}: {message_of(error)}"
            if after.last is not None:
                pair, migration = after.last
                raise MigrationFailed(
                    pair, f"the new version rejects the state: {problem}", place_of(migration)
                ) from error
            raise CannotMove("state.rejected", f"the new version rejects the state: {problem}") from error
        problem = schema_problem(graph, after.values, may_lack=not tasks)
        if problem and after.last is not None:
            pair, migration = after.last
            raise MigrationFailed(pair, f"the new version rejects the state: {problem}", place_of(migration))
        return tasks

    def _metadata(self, stored: StoredCheckpoint, namespace: str) -> dict[str, Any]:
        """That of the stored checkpoint, with the new ids of enclosing checkpoints."""
        parents = {self._namespaces.get(name, name): id for name, id in (stored.metadata.get("parents") or {}).items()}
        parents |= {name: self._ids[name] for name in parents if name in self._ids}
        metadata = {**stored.metadata, "parents": parents}
        metadata.pop("counters_since_delta_snapshot", None)  # all delta channels are stored
        if namespace:
            return metadata
        earlier = stored.metadata.get(OF_MOVE) or {}
        move = {"from": self.versions[0], "to": self.versions[1], "of": stored.id, "schema": self.schema}
        move["source"] = earlier.get("source", stored.metadata.get("source", "loop"))
        if self.after is not None and not self.path:
            move["restored"] = "1"
        return metadata | {"source": "update", OF_MOVE: move}

    def _moved_ids(self) -> dict[str, dict[str, str]]:
        """The new ids and namespaces of tasks to those under which clients know them: before the first move."""
        earlier = self.thread.move
        tasks, namespaces = earlier.get("tasks") or {}, earlier.get("namespaces") or {}
        return {
            "tasks": {new: tasks.get(old, old) for old, new in self._tasks.items()},
            "namespaces": {new: namespaces.get(old, old) for old, new in self._namespaces.items()},
        }

    def _renamed_tasks(self, tasks: Mapping[str, str]) -> dict[str, str]:
        """The ids at the newest checkpoint, which may be the work of a move as well, to the new ones."""
        newest = self.thread.root if self.after is None else self.after
        known: Mapping[str, str] = (newest.metadata.get(OF_MOVE) or {}).get("tasks") or {}
        new = {old: new for new, old in tasks.items()}
        return new | {current: new[old] for current, old in known.items() if old in new}

    # tasks

    def _match(
        self, stored: StoredCheckpoint, place: _Place, tasks: Sequence[PregelTask], after: MigratedState
    ) -> None:
        """Finds the new task of each task that has stored something. Raises `CannotMove` if one has none."""
        by_path = {_path_of(task): task for task in tasks}
        finished = {write.task_id for write in stored.writes if _is_of_task(write) and write.channel not in _UNFINISHED}
        paths = {write.task_id: write.task_path for write in stored.writes if _is_of_task(write)}
        calls = []
        for task_id, text in paths.items():
            path = task_paths.parsed(text)
            if path is None or any(
                write.channel == _ERROR_SOURCE and write.task_id == task_id for write in stored.writes
            ):
                raise CannotMove("node.error_handled", "the error handler of a node is under way, and cannot be moved")
            if path.caller:
                calls.append((task_id, path))
            else:
                old = self._add(task_id, _found(by_path, path, after.nodes), place)
                if task_id in finished:
                    self._finished.add(old)
        for segment in self._started_inside(place):
            node, _, task_id = segment.partition(":")
            if task_id not in self._tasks:
                self._add(task_id, self._of_segment(node, task_id, by_path, place, after.nodes), place, node)
        for task_id, path in sorted(calls, key=lambda each: len(each[1].text)):
            self._add_call(task_id, path, place, after.nodes)

    def _started_inside(self, place: _Place) -> list[str]:
        """The node and the id of each task of the namespace that has a subgraph with a checkpoint."""
        prefix = f"{place.old_namespace}|" if place.old_namespace else ""
        names = {each.namespace for each in self.thread.inside if each.namespace.startswith(prefix)}
        firsts = {name.removeprefix(prefix).partition("|")[0] for name in names if name != place.old_namespace}
        return sorted(first for first in firsts if ":" in first)

    def _of_segment(
        self, node: str, task_id: str, by_path: Mapping[str, PregelTask], place: _Place, nodes: Mapping[str, str]
    ) -> PregelTask | None:
        """The new task of one that has only started its subgraph."""
        name = nodes.get(node, node)
        sends = [task for task in by_path.values() if task.name == name and task.path[0] == task_paths.PUSH]
        for task in sends:
            index = task.path[1]
            assert isinstance(index, int)
            if send_task_id(place.old_id, place.old_namespace, place.step, node, index) == task_id:
                return task
        return by_path.get(task_paths.node_path(name))

    def _add(self, task_id: str, task: PregelTask | None, place: _Place, node: str = "") -> str:
        if task is None:
            raise CannotMove(
                "node.pending_lost",
                f"a task{f' of node {node!r}' if node else ''} has begun, and the new version would not start it",
            )
        old_node = node or self._old_name(task_id, task, place)
        self._tasks[task_id] = task.id
        old = namespace_of_call(place.old_namespace, old_node, task_id)
        self._namespaces[old] = namespace_of_call(place.namespace, task.name, task.id)
        return old

    def _old_name(self, task_id: str, task: PregelTask, place: _Place) -> str:
        """The node of a task under its old name, from the paths of its writes or the `Send` that started it."""
        stored = self.thread.root if not place.old_namespace else self._at(place.old_namespace)
        path = next(write.task_path for write in stored.writes if write.task_id == task_id)
        found = task_paths.parsed(path)
        assert found is not None
        if found.node:
            return found.node
        sends = stored.checkpoint["channel_values"].get(TASKS, ())
        return str(sends[found.send].node) if found.send is not None and found.send < len(sends) else task.name

    def _at(self, namespace: str) -> StoredCheckpoint:
        return next(each for each in self.thread.inside if each.namespace == namespace)

    def _add_call(self, task_id: str, path: task_paths.TaskPath, place: _Place, nodes: Mapping[str, str]) -> None:
        """A call of a function with `@task`: its id is made of the namespace of its caller and of its name, which is
        not stored."""
        for old, new in list(self._namespaces.items()):
            for function in self.calls:
                if call_task_id(place.old_id, old, place.step, function, path.caller, path.call) != task_id:
                    continue
                caller = _moved_path(path.caller, nodes)
                new_id = call_task_id(place.checkpoint_id, new, place.step, function, caller, path.call)
                self._tasks[task_id] = new_id
                self._namespaces[f"{old}|{function}:{task_id}"] = f"{new}|{function}:{new_id}"
                return
        raise CannotMove(
            "task.result_lost",
            "a function with @task has returned in the current superstep, and its result cannot be carried over: let "
            "the thread finish the superstep on its version first",
        )

    # writes

    def _writes(self, stored: StoredCheckpoint, graph: Graph, after: MigratedState) -> list[StoredWrite]:
        return [
            self._write(write, graph, after)
            for write in stored.writes
            if (_is_of_task(write) and not self.drops_tasks) or write.task_id == NULL_TASK or write.channel == MARK
        ]

    def _write(self, write: StoredWrite, graph: Graph, after: MigratedState) -> StoredWrite:
        task_id = self._tasks.get(write.task_id, write.task_id)
        path = _moved_path(write.task_path, after.nodes)
        if write.channel in _OF_TASK or (write.channel.startswith("__pregel_") and write.channel != TASKS):
            return write._replace(task_id=task_id, task_path=path)
        channel = renamed_channel(write.channel, after.nodes, after.channels, graph.channels)
        if channel not in graph.channels:
            what = f"node {channel.removeprefix(BRANCH)!r}" if channel.startswith(BRANCH) else f"channel {channel!r}"
            raise CannotMove(
                "result.lost",
                f"a node has finished in the current superstep and has written to {what}, which the new version does "
                "not have: rename it in a migration",
            )
        value = write.value
        if isinstance(value, Send):
            value = Send(after.nodes.get(value.node, value.node), value.arg)
        elif write.channel.startswith("join:") and isinstance(value, str):
            value = after.nodes.get(value, value)
        return StoredWrite(task_id, path, write.position, channel, value)


def _text_of(checkpoint: NewCheckpoint) -> str:
    """What shows whether the checkpoint of a subgraph has continued."""
    return f"{checkpoint.namespace} {checkpoint.checkpoint['id']} {len(checkpoint.writes)}"


def _is_of_task(write: StoredWrite) -> bool:
    return bool(write.task_path) and write.task_id != NULL_TASK


def _pending_in(stored: StoredCheckpoint) -> list[str]:
    """The nodes whose tasks the checkpoint starts: those whose channels are newer than what they have seen."""
    versions, seen = stored.checkpoint["channel_versions"], stored.checkpoint["versions_seen"]
    values = stored.checkpoint["channel_values"]
    found = [send.node for send in values.get(TASKS, ()) if isinstance(send, Send)]
    for channel, value in values.items():
        node = started_by(channel, value)
        before = seen.get(node, {}).get(channel)
        if node and (before is None or versions[channel] > before):  # type: ignore[operator]
            found.append(node)
    return list(dict.fromkeys(found))


def _path_of(task: PregelTask) -> str:
    """The path of a task as it is stored."""
    kind, which = task.path[0], task.path[1]
    return f"~{kind}, {which:010d}, 0000000000" if isinstance(which, int) else f"~{kind}, {which}"


def _found(by_path: Mapping[str, PregelTask], path: task_paths.TaskPath, nodes: Mapping[str, str]) -> PregelTask | None:
    return by_path.get(_moved_path(path.text, nodes))


def _moved_path(text: str, nodes: Mapping[str, str]) -> str:
    """The stored path of a task with the new name of its node."""
    path = task_paths.parsed(text) if text else None
    if path is None:
        return text
    if path.caller:
        return task_paths.call_path(_moved_path(path.caller, nodes), path.call)
    return text if path.send is not None else task_paths.node_path(nodes.get(path.node, path.node))
