"""The application and a worker with the project of this folder, which export spans to a receiver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.conftest import client, sdk, served, worker
from tests.otlp.receiver import Received, receiving
from tests.project_fixtures import graphs_of, module_of, settings_of

__all__ = ["client", "sdk", "served", "worker"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT)
project = module_of("./graphs.py:step")


@pytest.fixture
def received() -> Iterator[Received]:
    """A receiver that accepts all spans."""
    with receiving() as received:
        yield received


@pytest.fixture
def exported(received: Received, monkeypatch: pytest.MonkeyPatch) -> Received:
    """The receiver to which processes that start now export their spans."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", received.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    return received
