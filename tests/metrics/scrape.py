"""Reads /metrics as Prometheus does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from tests.waiting import wait_until

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@dataclass(frozen=True, slots=True)
class Scrape:
    """The samples of one page."""

    families: list[Any]
    """Of prometheus-client, which has no types for them."""

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples with these labels; 0 without any."""
        return sum(
            float(sample.value)
            for family in self.families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def counters(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """All samples that may only rise."""
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self.families
            for sample in family.samples
            if sample.name.endswith(("_total", "_bucket", "_count", "_sum"))
        }


async def scrape(url: str) -> Scrape:
    """The text format of Prometheus."""
    async with httpx.AsyncClient(base_url=url, timeout=10) as client:
        response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    return Scrape(list(prometheus(response.text)))


async def scrape_openmetrics(url: str) -> Scrape:
    """OpenMetrics, which has exemplars."""
    async with httpx.AsyncClient(base_url=url, timeout=10) as client:
        response = await client.get("/metrics", headers={"accept": OPENMETRICS})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    return Scrape(list(openmetrics(response.text)))  # type: ignore[no-untyped-call]


async def scrape_until(url: str, name: str, value: float, **labels: str) -> Scrape:
    """Figures are at most a second old."""
    found: list[Scrape] = []

    async def is_shown() -> bool:
        found[:] = [await scrape(url)]
        return found[0].value(name, **labels) == value

    await wait_until(is_shown)
    return found[0]
