"""Creates the fixtures `graphs` and `settings` of a folder of tests for the project of the folder."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.settings import Settings


def graphs_of(config: Path) -> Any:  # pytest names no public type for a fixture
    """The fixture `graphs`: the graphs of this langgraph.json, loaded once for the session."""

    @pytest.fixture(scope="session", name="graphs")
    def load_graphs() -> Registry:
        return asyncio.run(Registry.load(config))

    return load_graphs


def module_of(function: str) -> Any:
    """The fixture `project`: the module of the project that defines this function (`./graphs.py:step`), as the fixture
    `graphs` imported it. A registry imports each file under a module name of its own, so objects of the module, such
    as gates and counters, differ from those of another registry."""

    @pytest.fixture(scope="session", name="project")
    def find_module(graphs: Registry) -> ModuleType:
        return sys.modules[str(getattr(graphs.load_object(function), "__module__", ""))]

    return find_module


def settings_of(config: Path, **overrides: Any) -> Any:
    """The fixture `settings`: settings with the session's Valkey, the key prefix of the test, and `overrides` by
    name."""

    @pytest.fixture(name="settings")
    def make_settings(valkey_url: str, keys: Keys) -> Settings:
        return Settings.from_values({"redis_url": valkey_url, "key_prefix": keys.prefix, "config": config} | overrides)

    return make_settings
