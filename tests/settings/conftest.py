"""Settings that are read from environment variables only, and a project that uses every key of section `slipway`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slipway.environment_variables import variable_of
from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.project_fixtures import graphs_of, module_of

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

Load = Callable[..., Settings]
"""Values by the name of their setting, to `Settings`; each is set as its environment variable."""

graphs = graphs_of(PROJECT)
project = module_of("./graphs.py:step")


@pytest.fixture
def load(valkey_url: str, keys: Keys) -> Load:
    """Loads settings for the session's Valkey and the key prefix of this test."""
    defaults = {"redis_url": valkey_url, "key_prefix": keys.prefix, "config": PROJECT}

    def load(**values: object) -> Settings:
        return Settings.load({variable_of(name): str(value) for name, value in (defaults | values).items()})

    return load
