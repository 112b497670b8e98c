"""What is counted of a run that reaches a ceiling."""

from __future__ import annotations

import pytest

from slipway.graphs.registry import Registry
from slipway.telemetry.table.run_metrics import CEILINGS_REACHED, RUN_FAILURES
from tests.metrics.stored_figures import stored_figures
from tests.runs.conftest import Stores
from tests.runs.executions import execute_next

pytestmark = pytest.mark.one_queue


async def test_a_ceiling_is_counted_once_by_graph_and_code(stores: Stores, graphs: Registry) -> None:
    await stores.create_run(graph_id="loop", options={"input": {"value": 0}}, ceilings={"max_steps": 5})
    await execute_next(stores, graphs)
    figures = await stored_figures(stores.pipeline, stores.keys)
    assert figures.values(CEILINGS_REACHED) == {("loop", "ceiling.steps"): 1}
    assert figures.values(RUN_FAILURES) == {("loop", "ceiling.steps"): 1}
