"""What `checkpointer.serde` of langgraph.json changes: which classes stored objects are restored to."""

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


async def loaded(project: Project, **serde: Any) -> tuple[Registry, Serde]:
    project.write("models.py", MODELS)
    project.write("unused.py", MODELS)
    project.write("one.py", GRAPH)
    registry = await project.load({"a": "./one.py:graph"}, checkpointer={"serde": serde})
    assert registry.failures() == {}
    section = read(project.folder / "langgraph.json").checkpointer.serde
    return registry, serde_of(Settings(), section, registry)


async def restored(project: Project, **serde: Any) -> list[str]:
    """The names of those objects that come back as objects."""
    _, one = await loaded(project, **serde)
    models = sys.modules["models"]
    values = {"Order": models.Order(1), "Declared": models.Declared(1), "here": Here(1)}
    found = one.loads(one.dumps(values))
    return [name for name, value in found.items() if value == values[name]]


@dataclasses.dataclass
class Here:
    """Of a module that no graph imports."""

    id: int


async def test_by_default_it_is_what_graphs_use(project: Project) -> None:
    assert await restored(project) == ["Order", "Declared"]


async def test_a_list_is_added(project: Project) -> None:
    assert await restored(project, allowed_msgpack_modules=[[__name__, "Here"]]) == ["Order", "Declared", "here"]
    assert await restored(project, allowed_msgpack_modules=[[__name__]]) == ["Order", "Declared", "here"]
    assert await restored(project, allowed_msgpack_modules=[[*__name__.split("."), "Here"]]) == [
        *("Order", "Declared", "here")
    ]


async def test_true_is_every_module_that_was_imported(project: Project) -> None:
    assert await restored(project, allowed_msgpack_modules=True) == ["Order", "Declared", "here"]


@pytest.mark.parametrize("none", [None, False])
async def test_null_is_what_state_schemas_name(project: Project, none: Any) -> None:
    assert await restored(project, allowed_msgpack_modules=none) == ["Declared"]


async def test_langgraphs_strict_mode_is_too(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factory, "STRICT_MSGPACK_ENABLED", True)
    assert await restored(project) == ["Declared"]
    assert await restored(project, allowed_msgpack_modules=[["models", "Order"]]) == ["Order", "Declared"]


async def test_only_what_is_listed_is_imported_for_stored_data(project: Project) -> None:
    order = dataclasses.make_dataclass("Order", ["id"])
    order.__module__ = "unused"
    stored = Serde().dumps(order(1))
    for serde in ({}, {"allowed_msgpack_modules": True}):
        _, one = await loaded(project, **serde)
        with capture_logs() as logs:
            assert one.loads(stored) == {"id": 1}
        assert "unused" not in sys.modules
        assert "allowed_msgpack_modules" in logs[0]["why"]
    _, one = await loaded(project, allowed_msgpack_modules=[["unused", "Order"]])
    assert one.loads(stored).id == 1
