"""What a process measures is published once, under bounded labels."""

from __future__ import annotations

import re
from pathlib import Path

from slipway.metrics.deployment_figures import deployment_figures
from slipway.metrics.process_metrics import ProcessMetrics
from slipway.metrics.scripts import MetricsScripts, ReadFigures
from slipway.metrics.series import LABEL_CHARACTERS, MAX_SERIES
from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import library
from slipway.redis.shards import Shards
from slipway.telemetry.table.buckets import WAITS
from slipway.telemetry.table.deployment_metrics import HTTP_OPEN_STREAMS, HTTP_REJECTED_CLIENTS, PROCESSES
from slipway.telemetry.table.people_metrics import HOOK_DELIVERIES
from slipway.telemetry.table.requests import HTTP_REQUEST_SECONDS, HTTP_REQUESTS
from slipway.telemetry.table.run_metrics import NEW_RUNS, RUN_SECONDS

ROOT = Path(__file__).parent.parent.parent


def _read(**fields: str) -> ReadFigures:
    return ReadFigures(fields, [], {}, 0, {}, [], 0)


async def test_a_publication_that_is_sent_twice_counts_once(pipeline: Pipeline, shards: Shards) -> None:
    scripts, metrics = MetricsScripts(pipeline, shards.home), ProcessMetrics("web")
    metrics.count(HTTP_REJECTED_CLIENTS, "network.headers", by=3)
    metrics.observe(HTTP_REQUEST_SECONDS, 0.2, "/runs")
    metrics.raise_to(HOOK_DELIVERIES, 7, "stripe", "accepted")
    metrics.set(HTTP_OPEN_STREAMS, 2)
    first = metrics.publication()
    for _ in range(2):
        await scripts.publish("web-1", "web", 1, first, live=True)
    await scripts.publish("web-2", "web", 1, first, live=True)
    figures = deployment_figures(await scripts.read(), [])
    assert figures.values(HTTP_REJECTED_CLIENTS) == {("network.headers",): 6}
    assert figures.distributions(HTTP_REQUEST_SECONDS)["/runs",].count == 2
    assert figures.values(HOOK_DELIVERIES) == {("stripe", "accepted"): 7}
    assert figures.values(HTTP_OPEN_STREAMS) == {(): 4}
    assert figures.values(PROCESSES)["web",] == 2
    assert metrics.publication().counts == {}


async def test_a_process_that_is_gone_has_no_gauges(pipeline: Pipeline, shards: Shards) -> None:
    scripts, metrics = MetricsScripts(pipeline, shards.home), ProcessMetrics("web")
    metrics.set(HTTP_OPEN_STREAMS, 2)
    await scripts.publish("web-1", "web", 1, metrics.publication(), live=True)
    await scripts.publish("web-1", "web", 2, metrics.publication(), live=False)
    assert deployment_figures(await scripts.read(), []).values(HTTP_OPEN_STREAMS) == {(): 0}


async def test_figures_are_read_once_in_a_second(pipeline: Pipeline, shards: Shards) -> None:
    scripts, metrics = MetricsScripts(pipeline, shards.home), ProcessMetrics("web")
    first = await scripts.read()
    metrics.count(HTTP_REJECTED_CLIENTS, "x")
    await scripts.publish("web-1", "web", 1, metrics.publication(), live=True)
    again = await scripts.read()
    assert again.metrics == first.metrics
    assert 0 <= again.left_ms <= first.left_ms <= 1000


def test_labels_of_any_size_and_number_are_bounded() -> None:
    metrics = ProcessMetrics("web")
    for number in range(3 * MAX_SERIES):
        metrics.count(HTTP_REQUESTS, "GET", f"{number}" + "x" * 10_000, "200")
    counts = metrics.publication().counts
    assert len(counts) == MAX_SERIES + 1
    assert max(map(len, counts)) < LABEL_CHARACTERS + 40
    assert counts["http_requests\x1fother\x1fother\x1fother"] == 2 * MAX_SERIES


def test_a_graph_with_a_name_of_10_kb_has_a_short_label() -> None:
    figures = deployment_figures(_read(**{"new_runs\x1f" + "g" * 10_000: "3", "new_runs\x1fa\x1fb": "2"}), [])
    assert figures.values(NEW_RUNS) == {("g" * LABEL_CHARACTERS,): 3, ("other",): 2}


def test_more_series_than_permitted_are_one_series() -> None:
    figures = deployment_figures(_read(**{f"new_runs\x1fgraph{number:04}": "1" for number in range(2000)}), [])
    assert len(figures.values(NEW_RUNS)) == MAX_SERIES + 1
    assert figures.values(NEW_RUNS)["other",] == 2000 - MAX_SERIES


def test_fields_of_another_release_are_left_out() -> None:
    figures = deployment_figures(
        _read(**{"new_runs\x1fa": "1", "unheard_of\x1fa": "1", "run_seconds\x1fa\x1fb\x1f99": "1"}), []
    )
    assert figures.values(NEW_RUNS) == {("a",): 1}
    assert figures.distributions(RUN_SECONDS) == {}


def test_scripts_and_processes_have_the_same_bounds() -> None:
    bounds = re.findall(r"if us <= (\d+) then return (\d+) end", library("pending_counts"))
    assert [(int(us) / 1_000_000, int(number)) for us, number in bounds] == [
        (bound, number) for number, bound in enumerate(WAITS, 1)
    ]
