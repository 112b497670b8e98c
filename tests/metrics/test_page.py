"""/metrics: what it shows of runs, in three formats, and what it does not show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from slipway.graphs.registry import Registry
from slipway.settings import Settings
from slipway.telemetry.table.whole_table import METRICS
from tests.http.conftest import Served, serving
from tests.metrics.scrape import scrape, scrape_openmetrics, scrape_until
from tests.worker import running_worker

THREAD = "11111111-1111-4111-8111-111111111111"


async def _start(url: str, graph: str, input_: Mapping[str, Any], **options: Any) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        response = await client.post("/runs", json={"assistant_id": graph, "input": input_, **options})
        assert response.status_code == 200, response.text


async def wait_for_run(url: str, graph: str, input_: Mapping[str, Any], **options: Any) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        await client.post("/runs/wait", json={"assistant_id": graph, "input": input_, **options})


async def test_every_metric_of_the_table_is_a_family_of_its_type(served: Served) -> None:
    for page in (await scrape(served.url), await scrape_openmetrics(served.url)):
        types = {family.name: family.type for family in page.families}
        assert {kind.name: kind.type.value for kind in METRICS.values()} == types


async def test_runs_are_counted_by_outcome_and_attempts_by_result(
    served: Served, settings: Settings, graphs: Registry
) -> None:
    async with running_worker(settings, graphs):
        for graph in ("steps", "steps", "fail"):
            await wait_for_run(served.url, graph, {"text": "hello"})
        page = await scrape_until(served.url, "slipway_runs_ended_total", 1, graph="fail", outcome="failed")
    assert page.value("slipway_runs_ended_total", graph="steps", outcome="completed") == 2
    assert page.value("slipway_new_runs_total", graph="steps") == 2
    assert page.value("slipway_attempts_started_total") == 3
    assert page.value("slipway_attempts_ended_total", result="completed") == 2
    assert page.value("slipway_run_failures_total", graph="fail") == 1
    assert page.value("slipway_run_seconds_count", outcome="completed") == 2
    assert page.value("slipway_queue_wait_seconds_count", priority="normal") == 3
    assert page.value("slipway_superstep_seconds_count", graph="steps") == 2 * 3
    assert page.value("slipway_run_events_total") > 0
    assert page.value("slipway_queue_depth") == 0


async def test_queued_runs_are_counted_by_graph_and_priority_until_they_are_cancelled(served: Served) -> None:
    for priority in ("high", "high", "normal"):
        await _start(served.url, "steps", {"text": "x"}, config={"configurable": {"priority": priority}})
    await _start(served.url, "ask", {"text": "x"}, on_completion="keep")  # not deleted when it is cancelled
    page = await scrape_until(served.url, "slipway_queue_depth", 4)
    assert page.value("slipway_queue_depth", graph="steps", priority="high") == 2
    assert page.value("slipway_queue_depth", graph="steps", priority="normal") == 1
    assert page.value("slipway_queue_oldest_seconds", graph="ask") > 0
    assert page.value("slipway_runs", phase="queued") == 4
    async with httpx.AsyncClient(base_url=served.url) as client:
        assert (await client.post("/runs/cancel", json={"status": "all"})).status_code < 300
    page = await scrape_until(served.url, "slipway_queue_depth", 0)
    assert page.value("slipway_runs_ended_total", outcome="cancelled") == 4
    assert page.value("slipway_attempts_started_total") == 0


async def test_a_run_behind_another_one_of_its_thread_does_not_wait_for_a_worker(served: Served) -> None:
    """No worker could claim it, so the alert for a late queue does not count it."""
    async with httpx.AsyncClient(base_url=served.url) as client:
        for delay in ({"after_seconds": 3600}, {}):
            body = {"assistant_id": "steps", "input": {"text": "x"}, "if_not_exists": "create", **delay}
            assert (await client.post(f"/threads/{THREAD}/runs", json=body)).status_code == 200
    page = await scrape_until(served.url, "slipway_queue_depth", 2)
    assert page.value("slipway_queue_oldest_seconds", graph="steps") > 0
    assert page.value("slipway_oldest_due_job_seconds") == 0
    assert page.value("slipway_version_queue_oldest_seconds") == 0


async def test_an_exemplar_of_openmetrics_names_a_trace(served: Served, settings: Settings, graphs: Registry) -> None:
    found: list[Any] = []
    runs = 0
    async with running_worker(settings, graphs):
        while not found and runs < 500:  # of quick runs, one of 16 has an exemplar
            for _ in range(50):
                await wait_for_run(served.url, "steps", {"text": "hello"})
            runs += 50
            await scrape_until(served.url, "slipway_runs_ended_total", runs, outcome="completed")
            page = await scrape_openmetrics(served.url)
            found = [
                sample.exemplar
                for family in page.families
                for sample in family.samples
                if sample.name == "slipway_run_seconds_bucket" and sample.exemplar
            ]
    assert found
    assert all(len(each.labels["trace_id"]) == 32 and each.value > 0 and float(each.timestamp) > 0 for each in found)


async def test_json_has_the_same_figures(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url) as client:
        response = await client.get("/metrics", params={"format": "json"})
        wrong = await client.get("/metrics", params={"format": "xml"})
    metrics = {each["name"]: each for each in response.json()["metrics"]}
    assert set(metrics) == set(METRICS)
    assert metrics["slipway_ready"]["samples"] == [{"labels": {}, "value": 1.0}]
    assert metrics["slipway_store_memory_ratio"]["unit"] == "ratio"
    assert (wrong.status_code, wrong.json()["field"]) == (422, "format")


async def test_all_web_processes_show_the_same_figures_and_none_goes_back(
    served: Served, settings: Settings, graphs: Registry
) -> None:
    before: dict[Any, float] = {}
    async with serving(settings, graphs) as other:
        for number in range(30):
            await _start(served.url, "steps", {"text": "x"})
            page = (await scrape((served, other)[number % 2].url)).counters()
            assert {name: value for name, value in before.items() if page[name] < value} == {}
            before = page
        await scrape_until(other.url, "slipway_new_runs_total", 30)
        await scrape_until(served.url, "slipway_new_runs_total", 30)


async def test_nothing_of_a_user_is_shown(served: Served, settings: Settings, graphs: Registry) -> None:
    async with running_worker(settings, graphs):
        metadata = {"owner": "canary-owner"}
        await wait_for_run(served.url, "steps", {"text": "canary-input"}, metadata=metadata)
        await scrape_until(served.url, "slipway_runs_ended_total", 1, outcome="completed")
    async with httpx.AsyncClient(base_url=served.url) as client:
        pages = [(await client.get("/metrics", params={"format": each})).text for each in ("text", "json")]
    assert all("canary" not in page for page in pages)


async def test_without_redis_the_page_has_what_is_known(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.api.metrics_page.WITHIN_S", 0.0)
    page = await scrape(served.url)
    assert page.value("slipway_workers") == 0
    assert page.value("slipway_ready") == 1
