"""The allowlists in `checkpointer.serde` of langgraph.json: of which classes stored objects are rebuilt."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import pytest
from structlog.testing import capture_logs

from slipway.checkpoints import factory
from slipway.checkpoints.factory import serde_of
from slipway.graphs.langgraph_json import read
from slipway.graphs.registry import Registry
from slipway.serialization.serde import Serde
from slipway.settings import Settings
from tests.registry.conftest import SIMPLE, Project

MODELS = """
from dataclasses import dataclass

@dataclass
class Order:
    id: int

@dataclass
class Declared:
    id: int
"""
GRAPH = "import models\n" + SIMPLE.replace("text: str", "text: str\n    declared: models.Declared")


async def load(project: Project, **serde: Any) -> tuple[Registry, Serde]:
    project.write("models.py", MODELS)
    project.write("unused.py", MODELS)
    project.write("one.py", GRAPH)
    registry = await project.load({"a": "./one.py:graph"}, checkpointer={"serde": serde})
    assert registry.failures() == {}
    section = read(project.folder / "langgraph.json").checkpointer.serde
    return registry, serde_of(Settings(), section, registry)


async def rebuilt(project: Project, **serde: Any) -> list[str]:
    """The names of the objects that are rebuilt as objects."""
    _, serializer = await load(project, **serde)
    models = sys.modules["models"]
    values = {"Order": models.Order(1), "Declared": models.Declared(1), "local": Local(1)}
    loaded = serializer.loads(serializer.dumps(values))
    return [name for name, value in loaded.items() if value == values[name]]


@dataclasses.dataclass
class Local:
    """A class of a module that no graph imports."""

    id: int


async def test_by_default_the_classes_that_graphs_use_are_rebuilt(project: Project) -> None:
    assert await rebuilt(project) == ["Order", "Declared"]


async def test_listed_classes_are_rebuilt_too(project: Project) -> None:
    assert await rebuilt(project, allowed_msgpack_modules=[[__name__, "Local"]]) == ["Order", "Declared", "local"]
    assert await rebuilt(project, allowed_msgpack_modules=[[__name__]]) == ["Order", "Declared", "local"]
    assert await rebuilt(project, allowed_msgpack_modules=[[*__name__.split("."), "Local"]]) == [
        *("Order", "Declared", "local")
    ]


async def test_true_allows_every_imported_module(project: Project) -> None:
    assert await rebuilt(project, allowed_msgpack_modules=True) == ["Order", "Declared", "local"]


@pytest.mark.parametrize("modules", [None, False])
async def test_null_allows_only_classes_in_state_schemas(project: Project, modules: Any) -> None:
    assert await rebuilt(project, allowed_msgpack_modules=modules) == ["Declared"]


async def test_strict_mode_allows_only_classes_in_state_schemas(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory, "STRICT_MSGPACK_ENABLED", True)
    assert await rebuilt(project) == ["Declared"]
    assert await rebuilt(project, allowed_msgpack_modules=[["models", "Order"]]) == ["Order", "Declared"]


async def test_stored_data_imports_only_listed_modules(project: Project) -> None:
    order = dataclasses.make_dataclass("Order", ["id"])
    order.__module__ = "unused"
    stored = Serde().dumps(order(1))
    for serde in ({}, {"allowed_msgpack_modules": True}):
        _, serializer = await load(project, **serde)
        with capture_logs() as logs:
            assert serializer.loads(stored) == {"id": 1}
        assert "unused" not in sys.modules
        assert "allowed_msgpack_modules" in logs[0]["reason"]
    _, serializer = await load(project, allowed_msgpack_modules=[["unused", "Order"]])
    assert serializer.loads(stored).id == 1
