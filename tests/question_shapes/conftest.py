"""A served application and a worker with graphs that ask in each shape."""

from __future__ import annotations

from pathlib import Path

from tests.http.conftest import Client, client, new_thread, sdk, served, worker
from tests.project_fixtures import graphs_of, settings_of

__all__ = ["Client", "client", "new_thread", "sdk", "served", "worker"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT)
