"""Decides whether a version of a graph can continue a stored thread. Pure: it reads nothing.

What a checkpoint contains decides: values of state channels, the channels that start the next nodes, joins that wait,
and what is stored for tasks under their ids. LangGraph makes the id of a task from its node and all channels that may
start that node. Edges are not in a checkpoint, so other edges, new nodes and new channels never hold a thread. A thread
between two runs has no task, so only its values count.

LangGraph says nothing of most of what is lost: it ignores a `Send` to an unknown node, drops the value of an unknown
channel, and ends a run whose next node does not exist as if it had succeeded. So every such loss is a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from slipway.graphs.structure import ChannelStructure, GraphStructure, NodeStructure
from slipway.graphs.type_texts import accepts
from slipway.graphs.verdict import PendingTask, Position, Reason, Verdict, VerdictKind

START: Final = "__start__"
"""The node that writes the input of a run into the state. Each graph has it."""

REASON_CODES: Final = {
    "graph.kind_changed": "One version is a graph of nodes, and the other an `@entrypoint`.",
    "node.removed": "A node that is next, or is under way, does not exist.",
    "node.start_removed": "A node is next, but what has started it (a join of other nodes) does not start it any more.",
    "node.triggers_changed": (
        "A node is under way, and other channels may start it, for example a new join that ends at it: LangGraph would "
        "not find its answers and results any more and would execute it again."
    ),
    "node.deferred_changed": (
        "A node is next, or a join into it waits, and it is deferred in one version only: what starts it is stored in "
        "another form."
    ),
    "node.subgraph_changed": "A node that is under way has become a subgraph, or is none any more.",
    "node.results_misplaced": (
        "A node or an entrypoint has answers or results of tasks, and its calls of `interrupt()` and of tasks have "
        "changed: LangGraph matches them by their order, so they would be returned by other calls."
    ),
    "node.pauses_changed": (
        "A node waits for an answer, and its calls of `interrupt()` and of tasks have changed: the answer would be "
        "returned by another call, or by none."
    ),
    "join.removed": "A join has seen some of its nodes and waits for the others, and does not exist any more.",
    "branch.label_removed": (
        "The branch after a node that is next has lost a label, which its path function may still return for stored "
        "values."
    ),
    "channel.removed": "A state channel has a value and does not exist any more: the value would be lost.",
    "channel.missing": "The state class requires a channel, and a thread that is under way has no value of it.",
    "channel.type_changed": "A state channel has a value, and its type has changed and does not include the old one.",
    "channel.reducer_changed": "A state channel has a value, and its reducer or its kind of channel has changed.",
    "behaviour.changed": "The project declares another behaviour, and the thread is under way.",
}
"""Why threads are held, the most severe first."""

NOT_FOR_MIGRATIONS: Final = frozenset(
    {"graph.kind_changed", "node.deferred_changed", "node.subgraph_changed", "node.results_misplaced"}
)
"""Reasons that no migration can remove: it changes values and the names of nodes, and not what is stored for tasks in
the order of their calls."""

_SEVERITY: Final = {code: rank for rank, code in enumerate(REASON_CODES)}
_MANAGED: Final = "managed"


def verdict_of(
    old: GraphStructure | None,
    new: GraphStructure,
    position: Position,
    migrations: Sequence[tuple[str, str]] = (),
) -> Verdict:
    """Whether the version with the structure `new` continues a thread that is at `position`.

    `old` is the structure of the thread's version. None if it is not known, because a release without versions has
    created the thread: then only what the new structure alone shows is compared. `migrations` are those that lead from
    the thread's version to the new one, in order; empty if the project has none. Registered migrations are always
    applied to a thread that has a state, because they may know of changes that no structure shows."""
    reasons = tuple(sorted(dict.fromkeys(_reasons(old, new, position)), key=lambda each: _SEVERITY[each.code]))
    if migrations and position != Position():
        blocked = any(each.code in NOT_FOR_MIGRATIONS for each in reasons)
        kind = VerdictKind.HOLD if blocked else VerdictKind.MIGRATE
        return Verdict(kind, reasons, () if blocked else tuple(migrations))
    return Verdict(VerdictKind.HOLD if reasons else VerdictKind.CONTINUE, reasons)


def _reasons(old: GraphStructure | None, new: GraphStructure, position: Position) -> Iterator[Reason]:
    if old is not None and old.behaviour != new.behaviour and not position.is_idle:
        yield Reason(
            "behaviour.changed",
            f"the project declares behaviour {new.behaviour!r} instead of {old.behaviour!r}, and the thread is under "
            "way: register a migration, or serve both versions until it has ended",
        )
    yield from _in_graph(old, new, position, "")


def _in_graph(old: GraphStructure | None, new: GraphStructure, position: Position, where: str) -> Iterator[Reason]:
    """The reasons in one graph. `where` says in which subgraph, for example ` in subgraph 'review'`."""
    if old is not None and old.api != new.api and (position.tasks or position.channels):
        kinds = {"graph": "a graph of nodes", "functional": "an @entrypoint"}
        yield Reason(
            "graph.kind_changed",
            f"{kinds[old.api]} has become {kinds[new.api]}{where}: serve the old version until its threads have ended",
        )
        return
    yield from _in_channels(old, new, position, where)
    for task in position.tasks:
        yield from _in_task(old, new, task, where)
    if position.tasks:
        yield from _in_joins(old, new, position, where)
    for name, inside in position.subgraphs.items():
        yield from _in_subgraph(_node(old, name), _node(new, name), inside, name, where)


def _in_task(old: GraphStructure | None, new: GraphStructure, task: PendingTask, where: str) -> Iterator[Reason]:
    before, after = _node(old, task.node), _node(new, task.node)
    if after is None:
        if old is not None or task.node != START:  # the name of an entrypoint is not known without its structure
            yield _removed(old, new, task, where)
        return
    if not task.is_send:
        yield from _in_triggers(before, after, task, where)
        if before is not None and before.deferred != after.deferred:
            yield _deferred_changed(after, task.node, where)
    if task.finished:
        return
    if before is not None:
        yield from _in_pauses(before, after, task, where)
    if old is not None:
        yield from _in_labels(old, new, task.node, where)
    if task.inside is not None:
        yield from _in_subgraph(before, after, task.inside, task.node, where)
    elif before is not None and task.is_under_way and (before.subgraph is None) != (after.subgraph is None):
        yield _subgraph_changed(after, task.node, where)


def _removed(old: GraphStructure | None, new: GraphStructure, task: PendingTask, where: str) -> Reason:
    added = sorted(new.nodes.keys() - (new.nodes if old is None else old.nodes).keys())
    state = (
        "has finished, but its superstep has not"
        if task.finished
        else "is under way"
        if task.is_under_way
        else "is next"
    )
    hint = f" (new nodes: {', '.join(added)})" if added else ""
    return Reason(
        "node.removed",
        f"node {task.node!r}{where} {state}, and this version has no such node: keep the node, or rename it "
        f"in a migration{hint}",
    )


def _in_triggers(before: NodeStructure | None, after: NodeStructure, task: PendingTask, where: str) -> Iterator[Reason]:
    if task.triggers and not set(task.triggers) & set(after.triggers):
        yield Reason(
            "node.start_removed",
            f"node {task.node!r}{where} was started by {', '.join(task.triggers)}, which does not start it in this "
            "version: keep this edge until these threads have continued",
        )
    elif before is not None and task.is_under_way and before.triggers != after.triggers:
        changed = sorted(set(before.triggers) ^ set(after.triggers))
        yield Reason(
            "node.triggers_changed",
            f"node {task.node!r}{where} is under way, and what may start it has changed ({', '.join(changed)}), so its "
            "answers and results would not be found: register a migration, or keep these edges until it has ended",
        )


def _deferred_changed(after: NodeStructure, name: str, where: str) -> Reason:
    return Reason(
        "node.deferred_changed",
        f"node {name!r}{where} is next, and is {'' if after.deferred else 'not '}deferred in this version: serve the "
        "old version until it has started",
    )


def _in_pauses(before: NodeStructure, after: NodeStructure, task: PendingTask, where: str) -> Iterator[Reason]:
    if before.pauses == after.pauses or not (task.interrupted or task.started):
        return
    change = f"from {_listed(before.pauses)} to {_listed(after.pauses)}"
    if task.started:
        yield Reason(
            "node.results_misplaced",
            f"the pauses of {task.node!r}{where} have changed {change}, and it has answers or results, which would be "
            "returned by other calls: serve the old version until it has ended",
        )
    else:
        yield Reason(
            "node.pauses_changed",
            f"the pauses of {task.node!r}{where} have changed {change}, and it waits for an answer: register a "
            "migration if the first question is the same, or serve the old version until it has ended",
        )


def _in_labels(old: GraphStructure, new: GraphStructure, node: str, where: str) -> Iterator[Reason]:
    before, after = ({e.label: e.end for e in g.edges if e.kind == "branch" and e.start == node} for g in (old, new))
    if "?" in after.values():
        return
    for label, end in before.items():
        if label and label not in after:
            yield Reason(
                "branch.label_removed",
                f"the branch after node {node!r}{where} has no label {label!r} any more (it led to {end!r}), and "
                "stored values may still choose it: keep the label until these threads have continued",
            )


def _in_subgraph(
    before: NodeStructure | None, after: NodeStructure | None, inside: Position, name: str, where: str
) -> Iterator[Reason]:
    """`inside` is where the subgraph of node `name` is. A graph that a node calls without LangGraph's knowledge is in
    no structure, and cannot be compared."""
    old, new = (None if node is None else node.subgraph for node in (before, after))
    if new is not None:
        if before is None or old is not None:
            yield from _in_graph(old, new, inside, f" in subgraph {name!r}{where}")
        else:
            yield _subgraph_changed(after, name, where)
    elif old is not None and not (after is None and inside.is_idle):
        yield _subgraph_changed(after, name, where)


def _subgraph_changed(after: NodeStructure | None, name: str, where: str) -> Reason:
    is_one = after is not None and after.subgraph is not None
    return Reason(
        "node.subgraph_changed",
        f"node {name!r}{where} is under way and {'has become a subgraph' if is_one else 'is no subgraph any more'}: "
        "serve the old version until it has ended",
    )


def _in_joins(old: GraphStructure | None, new: GraphStructure, position: Position, where: str) -> Iterator[Reason]:
    for channel, seen in position.waiting_joins.items():
        end = channel.rpartition(":")[2]
        node = new.nodes.get(end)
        if node is None or channel not in node.triggers:
            yield Reason(
                "join.removed",
                f"node {end!r}{where} waits for a join ({channel}) that has seen {', '.join(sorted(seen))}, and this "
                "version has no such join: keep it until these threads have continued",
            )
        elif (before := _node(old, end)) is not None and before.deferred != node.deferred:
            yield _deferred_changed(node, end, where)


def _in_channels(old: GraphStructure | None, new: GraphStructure, position: Position, where: str) -> Iterator[Reason]:
    for name in sorted(position.channels):
        before, after = None if old is None else old.channels.get(name), new.channels.get(name)
        if after is None or after.kind == _MANAGED:
            is_given_up = position.is_idle and name in new.removed_channels
            if name not in position.empty and not is_given_up:
                yield _value_lost(old, new, name, where, is_idle=position.is_idle)
        elif before is not None:
            yield from _in_channel(before, after, name, where)
    for name, channel in new.channels.items():
        if channel.required and position.tasks and name not in position.channels:
            yield Reason(
                "channel.missing",
                f"the state{where} requires {name!r}, and the thread is under way and has no value of it: give it a "
                "default, or add the value in a migration",
            )


def _in_channel(before: ChannelStructure, after: ChannelStructure, name: str, where: str) -> Iterator[Reason]:
    if not after.combines_as(before):
        yield Reason(
            "channel.reducer_changed",
            f"channel {name!r}{where} has a value and has become {after} instead of {before}: convert "
            "the value in a migration, or use a new channel",
        )
    if not accepts(after.type, before.type):
        yield Reason(
            "channel.type_changed",
            f"channel {name!r}{where} has a value, and its type is {after.type} instead of {before.type}: convert the "
            "value in a migration, or use a new channel",
        )


def _value_lost(old: GraphStructure | None, new: GraphStructure, name: str, where: str, *, is_idle: bool) -> Reason:
    before = None if old is None else old.channels.get(name)
    alike = sorted(
        other
        for other, channel in new.channels.items()
        if old is not None and other not in old.channels and before is not None and channel.type == before.type
    )
    hint = f" (new channels of the same type: {', '.join(alike)})" if alike else ""
    give_up = ", or name it in removed_channels if the value may be lost" if is_idle and not where else ""
    return Reason(
        "channel.removed",
        f"channel {name!r}{where} has a value, and this version has no such channel: keep it in the state class, "
        f"or move or delete its value in a migration{give_up}{hint}",
    )


def _node(graph: GraphStructure | None, name: str) -> NodeStructure | None:
    return None if graph is None else graph.nodes.get(name)


def _listed(pauses: Sequence[str]) -> str:
    return f"[{', '.join(pauses)}]"
