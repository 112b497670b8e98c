"""The settings of circuit breakers have their effect."""

from __future__ import annotations

import asyncio

import pytest

from slipway.circuit_breakers.breakers import BREAKERS
from slipway.errors import BreakerOpen
from slipway.graphs.registry import Registry
from slipway.services import open_services
from slipway.settings import Settings
from tests.http.conftest import PROJECT
from tests.project_fixtures import graphs_of, settings_of

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
