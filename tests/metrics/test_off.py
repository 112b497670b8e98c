"""Without `SLIPWAY_METRICS`, scripts and processes count nothing."""

from __future__ import annotations

from slipway.graphs.registry import Registry
from slipway.redis.pipeline import Pipeline
from slipway.settings import Settings
from tests.http.conftest import serving
from tests.metrics.scrape import scrape_until
from tests.metrics.test_page import wait_for_run
from tests.worker import running_worker


async def test_without_metrics_nothing_is_counted(settings: Settings, graphs: Registry, pipeline: Pipeline) -> None:
    off = settings.model_copy(update={"metrics": False})
    async with serving(off, graphs) as served, running_worker(off, graphs):
        await wait_for_run(served.url, "steps", {"text": "hello"}, on_completion="keep")
        page = await scrape_until(served.url, "slipway_runs", 1, phase="completed")
    assert page.value("slipway_runs_ended_total") == 0
    home = served.services.shards.home
    assert await pipeline.send("EXISTS", home.metrics, home.queued_runs) == 0
