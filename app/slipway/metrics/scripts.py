"""The script stubs of metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ormsgpack

from slipway.metrics.process_metrics import Publication
from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_PUBLISH = load("metrics_publish")
_READ = load("metrics_read")

LIVE_MS: Final = 30_000
"""For how long the gauges of a process count after a publication."""
_REMEMBER_MS: Final = 24 * 3600 * 1000
FRESH_MS: Final = 1000
"""For how long figures that were read are shown."""
_MOST: Final = 500


@dataclass(frozen=True, slots=True)
class ReadFigures:
    """What was read, at one moment. Lists are flat: name, value, name, value."""

    metrics: Mapping[str, str]
    queue: Sequence[tuple[str, int, int]]
    """Graph, version and priority as in members of the set; runs; ms since the first was due."""
    phases: Mapping[str, int]
    webhooks: int
    repairs: Mapping[str, str]
    processes: Sequence[Mapping[str, str]]
    left_ms: int
    """For how many ms after the call they are shown."""


class MetricsScripts(ScriptStubs):
    """Each method takes one round trip."""

    async def publish(self, process: str, kind: str, number: int, publication: Publication, *, live: bool) -> None:
        """Publishes once, however often it is called with this number. `live`: the process goes on."""
        arguments = self._args(
            process=process,
            kind=kind,
            number=number,
            counts=dict(publication.counts),
            totals=dict(publication.totals),
            gauges={field: repr(value) for field, value in publication.gauges.items()},
            live_ms=LIVE_MS if live else 0,
            remember_ms=_REMEMBER_MS,
        )
        await self._pipeline.run(_PUBLISH, [], arguments)

    async def read(self) -> ReadFigures:
        """The figures of the deployment, at most `FRESH_MS` old."""
        packed, left_ms = await self._pipeline.run(_READ, [], self._args(fresh_ms=FRESH_MS, most=_MOST))
        read = ormsgpack.unpackb(packed)
        return ReadFigures(
            _pairs(read["metrics"]),
            [tuple(each) for each in read["queue"]],
            _pairs(read["phases"]),
            read["webhooks"],
            _pairs(read["repairs"]),
            [_pairs(each) for each in read["processes"]],
            int(left_ms),
        )


def _pairs(flat: Any) -> dict[str, Any]:
    """Any: MessagePack. An empty table of Lua arrives as a list or as a map."""
    return dict(zip(flat[::2], flat[1::2], strict=True)) if flat else {}
