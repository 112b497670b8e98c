"""The settings of circuit breakers have their effect, and operators see the breakers."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from slipway.circuit_breakers.breakers import BREAKERS
from slipway.errors import BreakerOpen
from slipway.graphs.registry import Registry
from slipway.services import open_services
from slipway.settings import Settings
from tests.http.conftest import PROJECT, Served, client, served
from tests.project_fixtures import graphs_of, settings_of

__all__ = ["client", "served"]

graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT, breaker_failures=2, breaker_window_s=0.5, breaker_open_s=7)


async def test_the_settings_say_when_a_breaker_opens_and_for_how_long(settings: Settings, graphs: Registry) -> None:
    async def fail() -> None:
        with pytest.raises(ConnectionError):
            async with BREAKERS.call("tool", "mail"):
                raise ConnectionError

    async with open_services(settings, graphs, "worker") as services:
        await fail()
        await asyncio.sleep(0.6)  # the window is time
        await fail()
        await fail()
        with pytest.raises(BreakerOpen, match="permits the next call in 7 s"):
            await fail()
        listed = await services.breakers.list_all()
        assert [each.breaker for each in listed.breakers] == ["tool:mail"]


async def test_operators_see_the_breakers(client: httpx.AsyncClient, served: Served) -> None:
    for _ in range(2):
        with pytest.raises(ConnectionError):
            async with BREAKERS.call("model", "openai:gpt-5"):
                raise ConnectionError
    listed = (await client.get("/ops/breakers")).json()
    assert listed["openings"] == {"model:openai:gpt-5": 1}
    (breaker,) = listed["breakers"]
    assert (breaker["kind"], breaker["name"], breaker["state"]) == ("model", "openai:gpt-5", "open")
    assert (breaker["failures"], breaker["problem"]) == (2, "ConnectionError")
    assert 0 < breaker["retry_in_s"] <= 7
    await served.services.health.measure()
    metrics, labels = (await client.get("/metrics")).text, '{kind="model",name="openai:gpt-5"}'
    assert f"slipway_breaker_open{labels} 1.0" in metrics
    assert f"slipway_breaker_openings_total{labels} 1.0" in metrics
    findings = {each["code"]: each for each in (await client.get("/readyz")).json()["findings"]}
    assert "gpt-5" not in findings["breakers.open"]["detail"]
