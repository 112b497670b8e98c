"""A worker crashes before or after each script of its calls, in several attempts one after another: each call has its
effect with one key, and is executed again only if its result was not stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.runs.record import Run
from slipway.tool_gateway.gateway import ToolServices
from tests.tools.conftest import Ended, Runs
from tests.tools.crashing import CrashingToolScripts

CALLS = 2
SCRIPTS = 3
"""Of each call: whether it may begin, its begin, its end."""
GRAPHS: list[tuple[str, dict[str, Any]]] = [
    ("pays", {"how": "call", "tool": "issue_refund", "args": {"order": "a"}, "times": CALLS}),
    ("pays", {"how": "subgraph", "tool": "issue_refund", "args": {"order": "a"}, "times": CALLS}),
    ("tool_node", {"tool": "issue_refund", "args": {"order": "a"}, "times": CALLS}),
]


async def execute(runs: Runs, run: Run, crash_at: int | None) -> bool:
    """Executes an attempt, which crashes. Returns whether it did."""
    if crash_at is None:
        await runs.finish(run)
        return False
    scripts = CrashingToolScripts(runs.stores, crash_at)
    services: ToolServices = replace(runs.services, scripts=scripts)
    await replace(runs, services=services).execution(run, scripts=scripts.run_scripts).execute()
    return scripts.run_scripts.crashed


async def check(runs: Runs, graph: str, graph_input: dict[str, Any], crashes: Sequence[int]) -> Ended:
    """Executes a run whose attempts crash there, and one more."""
    run = await runs.start(graph, **graph_input)
    for crash_at in [*crashes, None]:
        if not await execute(runs, run, crash_at):
            break
        await runs.stores.reap()
        run = await runs.stores.claim_one()
    ended = await runs.ended(run)
    assert (ended.code, ended.run.phase) == (None, "completed")
    executed = Counter(ended.keys)
    assert len(executed) == CALLS, "a call that is executed again has its key"
    stored = sum(action == "tool.called" for action in ended.actions())
    assert sum(executed.values()) - stored <= len(crashes) * CALLS
    return ended


@pytest.mark.parametrize(("graph", "graph_input"), GRAPHS, ids=["in turn", "in a subgraph", "at once"])
async def test_one_crash_at_each_script(runs: Runs, graph: str, graph_input: dict[str, Any]) -> None:
    for crash_at in range(2 * SCRIPTS * CALLS):
        ended = await check(runs, graph, graph_input, [crash_at])
        assert ended.run.attempt == 2, "the worker has crashed"
        assert len(ended.effects) <= (CALLS + 1 if graph == "pays" else 2 * CALLS)


async def test_several_crashes(runs: Runs) -> None:
    @settings(max_examples=6, derandomize=True)
    @given(st.sampled_from(GRAPHS), st.lists(st.integers(0, 2 * SCRIPTS * CALLS - 1), min_size=2, max_size=4))
    def crashes(graph: tuple[str, dict[str, Any]], crashes: list[int]) -> None:
        found.append((*graph, crashes))

    found: list[tuple[str, dict[str, Any], list[int]]] = []
    crashes()
    for example in found:
        await check(runs, *example)
