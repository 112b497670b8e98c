"""The project of these tests."""

from __future__ import annotations

from pathlib import Path

from tests.project_fixtures import graphs_of, module_of

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

graphs = graphs_of(PROJECT)
project = module_of("./graphs.py:step")
