"""A run that pauses because its retries are used up: what its trace and the metrics say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.http.conftest import Served
from tests.metrics.scrape import scrape_until
from tests.tracing.spans import tree_of
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("worker")


@pytest.mark.parametrize(("retries", "code"), [(1, "ceiling.retries"), (5, "node.failed")])
async def test_the_attempt_has_the_error_and_a_ceiling_counts(
    sdk: LangGraphClient, served: Served, client: Any, tmp_path: Path, retries: int, code: str
) -> None:
    thread, file = (await sdk.threads.create())["thread_id"], tmp_path / "file"
    config: Any = {"configurable": {"ceilings": {"max_retries": retries}}}
    run: Any = await sdk.runs.create(thread, "pausing", input={"file": str(file)}, config=config)
    run_id = run["run_id"]

    async def is_in(phase: str) -> bool:
        return (await served.services.runs.get(thread, run_id)).phase == phase

    await wait_until(lambda: is_in("paused"))
    tree = await tree_of(served.services, thread, run_id)
    attempt, superstep, node = tree.only("attempt 1"), tree.only("superstep 1"), tree.only("node fails")
    assert (attempt.error, attempt.attributes["phase"]) == (code, "paused")
    assert {superstep.error, node.error} == {"ConnectionError"}
    assert all(span.ended_us for span in tree.spans)
    totals = (await served.services.run_traces.of_run(run_id)).totals
    assert (totals.attempts, totals.errors) == (1, 1)

    page = await scrape_until(served.url, "slipway_runs", 1, phase="paused")
    expected = {"ceiling.retries": 1 if code == "ceiling.retries" else 0, "node.failed": 0}
    assert {each: page.value("slipway_ceilings_reached_total", graph="pausing", code=each) for each in expected} == (
        expected
    )
    assert page.value("slipway_attempts_ended_total", graph="pausing", result="released") == 1
    assert page.value("slipway_runs_ended_total", graph="pausing") == 0

    file.touch()
    response = await client.post(f"/ops/runs/{run_id}/resume", json={})
    assert response.status_code == 200, response.text
    await wait_until(lambda: is_in("completed"))
    ended = await tree_of(served.services, thread, run_id)
    assert [(span.name, span.error) for span in ended.children(ended.root_id)] == [("1", code), ("2", "")]
    page = await scrape_until(served.url, "slipway_runs_ended_total", 1, graph="pausing", outcome="completed")
    assert page.value("slipway_run_failures_total", graph="pausing") == 0
