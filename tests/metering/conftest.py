"""Runs whose graphs call models and tools, on a real Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from slipway.graphs.metering_sections import BudgetsSection
from slipway.graphs.registry import Registry
from slipway.model_prices import ModelPrice
from slipway.redis.keys import Keys
from slipway.runs.record import Run
from tests.project_fixtures import graphs_of, module_of
from tests.runs.conftest import Stores, ceilings, opened
from tests.runs.executions import execution_of, metering_of

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

PRICES = {
    "fake": ModelPrice(input=1.0, output=2.0, cached=0.5),
    "priced": ModelPrice(input=1.0, output=2.0, max_output_tokens=40),
}
"""US dollars for one million tokens: a call of the fake model costs 10 + 2 * 20 = 50 millionths of a dollar."""

COST_OF_CALL = 0.00005

graphs = graphs_of(PROJECT)
project = module_of("./graphs.py:call")


@pytest.fixture
async def stores(valkey_url: str, keys: Keys) -> AsyncIterator[Stores]:
    async with opened(valkey_url, keys) as stores:
        yield stores


async def execute(
    stores: Stores,
    graphs: Registry,
    graph_id: str,
    value: dict[str, Any] | None = None,
    *,
    budgets: BudgetsSection | None = None,
    thread_id: str | None = None,
    options: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    limits: Mapping[str, float] | None = None,
) -> Run:
    """Executes a run of a graph with these ceilings to its end, and returns its stored record."""
    fields = {"options": options or {"input": value or {}}, "ceilings": ceilings(**limits or {})}
    created = await stores.create_run(thread_id, graph_id=graph_id, metadata=metadata or {}, **fields)
    run = await stores.claim_one()
    await execution_of(stores, graphs, run, metering=metering_of(stores, PRICES, budgets)).execute()
    return await stores.reload(created)


def made_calls(project: ModuleType, run: Run) -> int:
    """How many calls of models and tools a run really made."""
    return int(project.calls[run.thread_id])
