"""A server whose settings come from environment variables alone, and a project that uses every key of `slipway`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from slipway.environment_variables import variable_of
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.project_fixtures import graphs_of

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

Load = Callable[..., Settings]
"""Settings of these options, each of which is a variable of the environment."""


graphs = graphs_of(PROJECT)


@pytest.fixture(scope="session")
def project(graphs: Registry) -> ModuleType:
    """The module of the graphs as this registry imported it: it holds their gates. Other projects of these tests import
    the same file as a module of another name."""
    return sys.modules[str(getattr(graphs.attribute("./graphs.py:step"), "__module__", ""))]


@pytest.fixture
def load(valkey_url: str, keys: Keys) -> Load:
    """On the session's Valkey, under the prefix of this test."""
    usual = {"redis_url": valkey_url, "key_prefix": keys.prefix, "config": PROJECT}

    def load(**options: object) -> Settings:
        return Settings.load({variable_of(name): str(value) for name, value in (usual | options).items()})

    return load
