"""Runs do not depend on the receiver of their spans."""

from __future__ import annotations

import time
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from slipway.errors import ConfigError
from slipway.graphs.registry import Registry
from slipway.otlp.span_export import CLOSE_WITHIN_S
from slipway.services import open_services
from slipway.settings import Settings
from tests.otlp import receiver
from tests.otlp.receiver import Answer, receiving
from tests.otlp.test_runs import executed
from tests.worker import running_worker

ANSWERS = {
    "hangs": receiver.hang,
    "refuses": None,
    "500": receiver.answer_with(500),
    "429": receiver.answer_with(429, retry_after="3600"),
    "slow": receiver.send_slowly,
    "huge": receiver.send_much,
}


@pytest.fixture(params=ANSWERS)
def failing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A receiver that fails, in the variables of processes that start now. Its queue has room for 8 spans."""
    answer: Answer | None = ANSWERS[request.param]
    for name, value in {"SCHEDULE_DELAY": "20", "MAX_QUEUE_SIZE": "8", "MAX_EXPORT_BATCH_SIZE": "8"}.items():
        monkeypatch.setenv(f"OTEL_BSP_{name}", value)
    with receiving(answer) as received:
        url = f"http://127.0.0.1:{receiver.closed_port()}" if answer is None else received.url
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        yield received


@pytest.mark.usefixtures("failing")
async def test_runs_end_and_processes_stop_in_time(sdk: LangGraphClient, settings: Settings, graphs: Registry) -> None:
    async with running_worker(settings, graphs):
        for _ in range(5):
            started = time.perf_counter()
            _, values = await executed(sdk, "one")
            assert values == {"log": ["step"]}
            assert time.perf_counter() - started < 5
        stopping = time.perf_counter()
    assert time.perf_counter() - stopping < CLOSE_WITHIN_S + 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_SAMPLER", "parentbased_always_onn"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ],
)
async def test_a_mistake_is_an_error_of_the_start(
    name: str, value: str, settings: Settings, graphs: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name):
        async with open_services(settings, graphs, "worker"):
            pytest.fail("the process has started")
