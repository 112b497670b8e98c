"""Which checkpoints of a thread stay when others go.

A delta channel is rebuilt from the writes of its ancestors, back to the nearest that holds a value of it: ancestors
that a kept checkpoint needs for that are kept too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from slipway.checkpoints.langgraph_redis.search import Place


@dataclass(frozen=True, slots=True)
class Head:
    """What the choice depends on. `deltas` are channels that may have to be rebuilt, `held` those with a value."""

    run_id: str
    parent_id: str
    deltas: Collection[str]
    held: Collection[str]


def latest_of(places: Collection[Place]) -> dict[str, Place]:
    """The latest checkpoint of each namespace."""
    latest: dict[str, Place] = {}
    for place in sorted(places):
        latest[place[0]] = place
    return latest


def without_runs(heads: Mapping[Place, Head], run_ids: Collection[str]) -> set[Place]:
    """The checkpoints that stay when those of the runs go."""
    return with_ancestors(heads, {place for place, head in heads.items() if head.run_id not in run_ids})


def with_ancestors(heads: Mapping[Place, Head], kept: Collection[Place]) -> set[Place]:
    """`kept`, and what they are rebuilt from."""
    all_kept = set(kept)
    for namespace, checkpoint_id in kept:
        head = heads.get((namespace, checkpoint_id))
        wanted = set(head.deltas) - set(head.held) if head else set()
        while head and wanted:
            place = (namespace, head.parent_id)
            head = heads.get(place)
            if head:
                all_kept.add(place)
                wanted -= set(head.held)
    return all_kept
