"""Which checkpoints of a thread must be retained when others are deleted.

A delta channel is rebuilt from the writes of its ancestors, back to the nearest that holds a value of it: ancestors
that a kept checkpoint needs for that are kept too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from slipway.checkpoints.checkpoint_key import CheckpointKey


@dataclass(frozen=True, slots=True)
class Head:
    """The fields of a checkpoint on which the choice depends. `deltas` are channels that may have to be rebuilt; `held`
    are channels with a stored value."""

    run_id: str
    parent_id: str
    deltas: Collection[str]
    held: Collection[str]


def latest_of(places: Collection[CheckpointKey]) -> dict[str, CheckpointKey]:
    """The latest checkpoint of each namespace."""
    latest: dict[str, CheckpointKey] = {}
    for place in sorted(places):
        latest[place[0]] = place
    return latest


def without_runs(heads: Mapping[CheckpointKey, Head], run_ids: Collection[str]) -> set[CheckpointKey]:
    """The checkpoints that are retained when those of the runs are deleted."""
    return with_ancestors(heads, {place for place, head in heads.items() if head.run_id not in run_ids})


def with_ancestors(heads: Mapping[CheckpointKey, Head], kept: Collection[CheckpointKey]) -> set[CheckpointKey]:
    """`kept`, and the ancestors from which they are rebuilt."""
    all_kept = set(kept)
    for key in kept:
        head = heads.get(key)
        wanted = set(head.deltas) - set(head.held) if head else set()
        while head and wanted:
            parent = CheckpointKey(key.namespace, head.parent_id)
            head = heads.get(parent)
            if head:
                all_kept.add(parent)
                wanted -= set(head.held)
    return all_kept
