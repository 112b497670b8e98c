"""Which checkpoints of a thread must be retained when others are deleted.

A delta channel is rebuilt from the writes of its ancestors, back to the nearest that has a value of it.
Ancestors that a retained checkpoint needs for that are retained too. While the latest checkpoint is the work of a move,
the original is retained as well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from slipway.checkpoints.checkpoint_key import CheckpointKey


@dataclass(frozen=True, slots=True)
class Head:
    """The fields of a checkpoint on which the choice depends. `deltas` are channels that may have to be rebuilt;
    `channels` have a stored value."""

    run_id: str
    parent_id: str
    deltas: Collection[str]
    channels: Collection[str]
    original: str = ""
    """The id of the checkpoint that a move has rewritten to this one."""


def latest_of(keys: Collection[CheckpointKey]) -> dict[str, CheckpointKey]:
    """The latest checkpoint of each namespace."""
    return {key.namespace: key for key in sorted(keys)}


def latest_with_originals(heads: Mapping[CheckpointKey, Head]) -> set[CheckpointKey]:
    """What is retained of a thread of which only the latest checkpoints are."""
    latest = set(latest_of(heads).values())
    originals = {CheckpointKey(key.namespace, heads[key].original) for key in latest}
    return with_ancestors(heads, latest | originals & heads.keys())


def without_runs(heads: Mapping[CheckpointKey, Head], run_ids: Collection[str]) -> set[CheckpointKey]:
    """The checkpoints that are retained when those of the runs are deleted."""
    return with_ancestors(heads, {key for key, head in heads.items() if head.run_id not in run_ids})


def with_ancestors(heads: Mapping[CheckpointKey, Head], retained: Collection[CheckpointKey]) -> set[CheckpointKey]:
    """`retained`, and the ancestors from which their delta channels are rebuilt."""
    all_retained = set(retained)
    for key in retained:
        head = heads.get(key)
        unresolved = set(head.deltas) - set(head.channels) if head else set()
        while head and unresolved:
            parent = CheckpointKey(key.namespace, head.parent_id)
            head = heads.get(parent)
            if head:
                all_retained.add(parent)
                unresolved -= set(head.channels)
    return all_retained
