"""The application with the graphs of the tests of HTTP."""

from __future__ import annotations

from tests.http.conftest import PROJECT, served
from tests.project_fixtures import graphs_of, settings_of
from tests.runs.conftest import stores

graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT)

__all__ = ["graphs", "served", "settings", "stores"]
