"""Which checkpoints of a thread are kept when only the last ones are to be kept.

Kept are, in each namespace, the last checkpoints; those with an interrupt, open or answered; fork points, with the
first checkpoint of each branch; what was written or forked through the API, with the checkpoint from which that
started; and the ancestors from which delta channels of kept checkpoints are rebuilt. The checkpoints of one call of a
subgraph are kept only as long as the checkpoint of the root graph that called it.

The choice does not change while the others are deleted: the kept checkpoints alone lead to the same choice. So a
deletion may stop at any point and be repeated.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from slipway.checkpoints.checkpoint_key import CheckpointKey

_WRITTEN_SOURCES: Final = frozenset({"fork", "update"})
_TASK_SEPARATOR: Final = ":"
"""What LangGraph writes between the name of a node and the id of its task in the namespace of one call."""


@dataclass(frozen=True, slots=True)
class RetainedHead:
    """What the choice needs to know of a checkpoint."""

    parent_id: str = ""
    source: str = "loop"
    run_id: str = ""
    has_interrupt: bool = False
    deltas: Collection[str] = ()
    """Channels that may have to be rebuilt from ancestors."""
    stored_deltas: Collection[str] = ()
    """Those of them of which it has a value."""
    parents: Mapping[str, str] = field(default_factory=dict)
    """For a subgraph: the checkpoints of the enclosing graphs, by namespace."""
    versions: tuple[Any, ...] = ()
    """Channel, version, channel, version: the values that it uses."""


Heads = Mapping[CheckpointKey, RetainedHead]


def kept(heads: Heads, keep: int) -> set[CheckpointKey]:
    """The checkpoints that are kept if at least the last `keep` of each namespace are."""
    others = {key: head for key, head in heads.items() if not _is_of_call(key.namespace)}
    root = with_ancestors(heads, _chosen(others, keep))
    calls = {key: head for key, head in heads.items() if key not in others and _caller_is_kept(head, root)}
    return root | with_ancestors(heads, _chosen(calls, keep))


def with_ancestors(heads: Heads, chosen: Iterable[CheckpointKey]) -> set[CheckpointKey]:
    """The chosen checkpoints, and the ancestors from which their delta channels are rebuilt."""
    result = set(chosen)
    for key in list(result):
        head: RetainedHead | None = heads[key]
        assert head is not None
        missing = set(head.deltas) - set(head.stored_deltas)
        while missing:
            parent = CheckpointKey(key.namespace, head.parent_id)
            head = heads.get(parent)
            if head is None:
                break
            result.add(parent)
            missing -= set(head.stored_deltas)
    return result


def _chosen(heads: Heads, keep: int) -> set[CheckpointKey]:
    """The checkpoints that are kept for themselves, and not as ancestors."""
    by_namespace: dict[str, list[CheckpointKey]] = defaultdict(list)
    for key in sorted(heads):
        by_namespace[key.namespace].append(key)
    parents = {key: CheckpointKey(key.namespace, head.parent_id) for key, head in heads.items() if head.parent_id}
    children = Counter(parents.values())
    forks = {parent for parent, count in children.items() if count > 1 and parent in heads}
    chosen = {key for keys in by_namespace.values() for key in keys[-keep:]} | forks
    chosen |= {key for key, parent in parents.items() if parent in forks}
    chosen |= {key for key, head in heads.items() if head.has_interrupt}
    for key, head in heads.items():
        if head.source in _WRITTEN_SOURCES:
            chosen |= {key, parents.get(key, key)} & heads.keys()
    return chosen


def _is_of_call(namespace: str) -> bool:
    """Whether the namespace is of one call of a subgraph, and not of a subgraph with a state of its own."""
    return _TASK_SEPARATOR in namespace


def _caller_is_kept(head: RetainedHead, root: Collection[CheckpointKey]) -> bool:
    caller = head.parents.get("")
    return caller is None or CheckpointKey("", caller) in root
