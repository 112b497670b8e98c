"""Prometheus scrapes a web process and two workers: the rules load, the figures arrive, and a killed worker is an
alert."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]  # types-PyYAML would be one more dependency

from tests.crash.cluster import running
from tests.environment import free_port
from tests.monitoring.conftest import FOLDER, program
from tests.waiting import Eventually

pytestmark = [pytest.mark.processes, pytest.mark.one_python]


def configuration(folder: Path, target: str) -> Path:
    """The example configuration and the rules, which only wait for less time before they fire."""
    text = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    text["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
    (job,) = text["scrape_configs"]
    job["static_configs"] = [{"targets": [target]}]
    for name in text["rule_files"]:
        rules = yaml.safe_load((FOLDER / name).read_text())
        for rule in (rule for group in rules["groups"] for rule in group["rules"] if "for" in rule):
            rule["for"] = "1s"
        (folder / name).write_text(yaml.safe_dump(rules))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(text))
    return folder / "prometheus.yml"


@contextmanager
def prometheus(config: Path, port: int) -> Iterator[str]:
    """Prometheus on this port, without a log."""
    arguments = (
        f"--config.file={config}",
        f"--storage.tsdb.path={config.parent / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    )
    log = (config.parent / "prometheus.log").open("w")
    process = subprocess.Popen([program("prometheus"), *arguments], stdout=log, stderr=log, env=dict(os.environ))
    try:
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        process.terminate()
        process.wait(10)
        log.close()


async def test_prometheus_scrapes_a_deployment_and_a_killed_worker_is_an_alert(
    tmp_path: Path, eventually: Eventually
) -> None:
    program("promtool")
    async with running(webs=1, workers=2) as cluster:
        web, first = cluster.webs[0], cluster.workers[0]
        config = configuration(tmp_path, web.url.removeprefix("http://"))
        with prometheus(config, free_port()) as api:
            async with httpx.AsyncClient(timeout=5) as client:

                async def data(path: str, **params: str) -> Any:
                    try:
                        response = await client.get(f"{api}/{path}", params=params)
                    except httpx.TransportError:  # it is starting
                        return None
                    return response.json()["data"] if response.is_success else None

                async def value(query: str) -> float | None:
                    found = await data("query", query=query)
                    return float(found["result"][0]["value"][1]) if found and found["result"] else None

                async def both_workers() -> bool:
                    return await value("slipway:workers:max") == 2

                await eventually(both_workers)
                (target,) = (await data("targets"))["activeTargets"]
                assert (target["health"], target["lastError"]) == ("up", "")
                groups = (await data("rules"))["groups"]
                assert not [rule for group in groups for rule in group["rules"] if rule.get("lastError")]
                assert sum(len(group["rules"]) for group in groups) > 30
                assert {alert["labels"]["alertname"] for alert in (await data("alerts"))["alerts"]} == set()

                await first.kill()

                async def is_reported() -> bool:
                    alerts = (await data("alerts"))["alerts"]
                    return any(
                        (each["labels"]["alertname"], each["state"]) == ("SlipwayFewerWorkers", "firing")
                        for each in alerts
                    )

                await eventually(is_reported, within_s=30)
                assert await value("slipway:workers:max") == 1
