"""The application and a worker with the project of this folder."""

from __future__ import annotations

from pathlib import Path

from tests.http.conftest import client, sdk, served, worker
from tests.project_fixtures import graphs_of, module_of, settings_of

__all__ = ["client", "sdk", "served", "worker"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT)
project = module_of("./graphs.py:step")
