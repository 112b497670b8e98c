"""The figures of a deployment, as they are in Redis at the moment, and sums of them."""

from __future__ import annotations

from collections.abc import Mapping

from slipway.metrics.deployment_figures import deployment_figures
from slipway.metrics.figures import Figures
from slipway.metrics.scripts import MetricsScripts
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from tests.shards import shards_of


async def stored_figures(pipeline: Pipeline, keys: Keys) -> Figures:
    """What is stored now, not what was read within the last second."""
    home = shards_of(keys).home
    await pipeline.send("DEL", f"{home.metrics}:read")
    return deployment_figures(await MetricsScripts(pipeline, home).read(), [])


async def add_up_counts(pipeline: Pipeline, keys: Keys) -> None:
    """Adds what scripts have counted so far to the keys that it belongs to."""
    await stored_figures(pipeline, keys)


def total(series: Mapping[tuple[str, ...], float], *labels: str) -> float:
    """The sum of the series with these values of labels."""
    return sum(value for key, value in series.items() if set(labels) <= set(key))
