"""Repetitions of nodes are counted by graph."""

from __future__ import annotations

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.runs.record import new_id
from slipway.telemetry.table.run_metrics import NODE_RETRIES
from tests.metrics.stored_figures import stored_figures
from tests.tracing.spans import run_and_read
from tests.tracing.test_settings import deployment


async def test_each_repetition_of_a_node_is_counted(valkey_url: str, keys: Keys, graphs: Registry) -> None:
    async with deployment(valkey_url, keys, graphs) as (sdk, served):
        await run_and_read(sdk, served.services, "retried", {"file": new_id()})
        figures = await stored_figures(served.services.pipeline, served.services.keys)
    assert figures.values(NODE_RETRIES) == {("retried",): 2}
