"""The figures of all shards together."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from slipway.metrics.scripts import ReadFigures
from slipway.metrics.series import part_of


def together(read: Sequence[ReadFigures]) -> ReadFigures:
    """The figures of the deployment, from those of each shard. Each shard is of one moment of its own."""
    if len(read) == 1:
        return read[0]
    runs: Counter[str] = Counter()
    oldest_ms: dict[str, int] = {}
    for labels, count, waited_ms in itertools.chain.from_iterable(each.queue for each in read):
        runs[labels] += count
        oldest_ms[labels] = max(oldest_ms.get(labels, 0), waited_ms)
    phases: Counter[str] = Counter()
    for each in read:
        phases.update(each.phases)
    return ReadFigures(
        metrics=_metrics(each.metrics for each in read),
        queue=[(labels, count, oldest_ms[labels]) for labels, count in runs.items()],
        phases=dict(phases),
        webhooks=sum(each.webhooks for each in read),
        repairs=_metrics(each.repairs for each in read),
        processes=[process for each in read for process in each.processes],
        left_ms=min(each.left_ms for each in read),
    )


def _metrics(parts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The fields with the sums of their numbers. Of an exemplar, the latest; of another text, the first."""
    found: dict[str, str] = {}
    for field, value in itertools.chain.from_iterable(part.items() for part in parts):
        before = found.get(field)
        if before is None:
            found[field] = value
        elif (part := part_of(field)) is not None and part.is_exemplar:
            found[field] = max(before, value, key=_time_of_exemplar)
        elif value.lstrip("-").isdecimal() and before.lstrip("-").isdecimal():
            found[field] = str(int(before) + int(value))
    return found


def _time_of_exemplar(text: str) -> int:
    return int(text.rpartition(" ")[2])
