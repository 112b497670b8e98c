"""Runs whose graphs call a provider's package, whose requests go to a server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.metering.conftest import stores
from tests.project_fixtures import graphs_of
from tests.providers.provider_server import Provider, ProviderServer, provider_server

__all__ = ["stores"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

KEY: Final = "sk-test-0123456789abcdefghij"

graphs = graphs_of(PROJECT)


@pytest.fixture(scope="session")
def server() -> Iterator[ProviderServer]:
    with provider_server() as server:
        yield server


@pytest.fixture
def provider(server: ProviderServer, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """Stands for OpenAI and for Anthropic: the packages send all requests to it."""
    provider = server.provider()
    for name in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{name}_API_KEY", KEY)
        monkeypatch.setenv(f"{name}_BASE_URL", provider.url)
    return provider
