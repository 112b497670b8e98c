"""Which modules belong to the graphs; loading stored data imports no other module."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
import starlette.datastructures  # noqa: F401
from structlog.testing import capture_logs

from slipway.graphs.modules import GraphModules
from slipway.graphs.registry import Registry
from slipway.serialization.class_allowlist import ClassAllowlist
from slipway.serialization.serde import Serde
from tests.registry.conftest import SIMPLE, Project

CLASSES = "from dataclasses import dataclass\n\n@dataclass\nclass Thing:\n    size: int = 1\n"


def is_graph_module(registry: Registry, name: str) -> bool:
    return registry.module(name) is not None


async def test_modules_that_graphs_import_are_graph_modules(project: Project) -> None:
    project.write("models.py", CLASSES)
    project.write("one.py", "import models\nimport wsgiref.headers\n" + SIMPLE)
    registry = await project.load({"a": "./one.py:graph"})
    for name in ("one", "models", "wsgiref.headers", "http", "decimal", "langchain_core.messages.base"):
        assert registry.module(name) is sys.modules[name]


async def test_modules_that_only_slipway_imports_are_not_graph_modules(project: Project) -> None:
    project.write("one.py")
    registry = await project.load({"a": "./one.py:graph"})
    of_slipway = ("slipway", "slipway.settings", "slipway.graphs.registry")
    for name in (*of_slipway, "starlette.datastructures", "redis", "__main__", "tests.conftest"):
        assert name in sys.modules
        assert not is_graph_module(registry, name)
    assert not is_graph_module(registry, "no.such.module")


@pytest.mark.parametrize("is_imported", [True, False], ids=["imported before", "imported later"])
def test_slipway_is_no_graph_module_even_below_the_folder_of_the_project(is_imported: bool) -> None:
    module_of = GraphModules([Path(__file__).parents[2]], sys.modules if is_imported else [])
    assert [module_of(name) for name in ("slipway", "slipway.settings", "slipway.graphs.registry")] == [None] * 3
    assert module_of(__name__) is not None, "this module is below the same folder"


async def test_an_installed_module_that_the_project_imports_is_a_graph_module(project: Project) -> None:
    project.write("one.py", "from starlette.datastructures import Address\n" + SIMPLE)
    registry = await project.load({"a": "./one.py:graph"})
    assert is_graph_module(registry, "starlette.datastructures")
    assert not is_graph_module(registry, "redis")


async def test_the_example_graphs_do_not_belong_to_slipway(project: Project) -> None:
    project.write("one.py", "import examples.chat.graph\n" + SIMPLE)
    registry = await project.load({"a": "./one.py:graph"})
    assert is_graph_module(registry, "examples.chat.graph")


async def test_modules_of_another_project_are_not_graph_modules(project: Project) -> None:
    for name in ("first", "second"):
        inner = Project(project.folder / name)
        inner.write(f"models_{name}.py", CLASSES)
        inner.write(f"graph_{name}.py", f"import models_{name}\n" + SIMPLE)
    first = await Project(project.folder / "first").load({"a": "./graph_first.py:graph"})
    second = await Project(project.folder / "second").load({"a": "./graph_second.py:graph"})
    assert is_graph_module(first, "models_first")
    assert is_graph_module(second, "models_second")
    assert not is_graph_module(second, "models_first")


@pytest.mark.parametrize(
    "statement",
    [
        "    import lib.late.models\n",
        "    from lib.late.models import Thing\n",
        "    from lib.late import models\n",
        "    from lib import middle\n",
    ],
)
async def test_a_module_that_a_node_imports_is_imported_when_it_is_needed(project: Project, statement: str) -> None:
    project.write("lib/__init__.py", "")
    project.write("lib/middle.py", "from .late import models\n")
    project.write("lib/late/__init__.py", "")
    project.write("lib/late/models.py", CLASSES)
    project.write("lib/late/script.py", "raise RuntimeError('no module imports this script')\n")
    project.write("one.py", f"def node(state):\n{statement}\n" + SIMPLE)
    registry = await project.load({"a": "./one.py:graph"})
    assert "lib" not in sys.modules
    assert not is_graph_module(registry, "lib.late.script")
    assert "lib" not in sys.modules
    module = registry.module("lib.late.models")
    assert module is not None
    assert module.Thing(2).size == 2


async def test_a_relative_import_works_in_a_package_under_a_generated_name(project: Project) -> None:
    project.write("json/__init__.py", "")
    project.write("json/late.py", CLASSES)
    project.write("json/desk.py", "def node(state):\n    from .late import Thing\n\n" + SIMPLE)
    registry = await project.load({"a": "./json/desk.py:graph"})
    (name,) = [name for name in sys.modules if name.startswith("graph_file_json") and name.endswith(".desk")]
    late = f"{name.removesuffix('.desk')}.late"
    assert late not in sys.modules
    assert is_graph_module(registry, late)


@pytest.mark.parametrize("text", ["raise RuntimeError('no')\n", "import sys\nsys.exit(1)\n", "x = (\n"])
async def test_a_module_whose_import_fails_is_imported_once(project: Project, text: str) -> None:
    project.write("late.py", text)
    project.write("one.py", "def node(state):\n    import late\n\n" + SIMPLE)
    registry = await project.load({"a": "./one.py:graph"})
    with capture_logs() as logs:
        assert not is_graph_module(registry, "late")
        assert not is_graph_module(registry, "late")
    assert [line["module"] for line in logs] == ["late"]


@pytest.mark.parametrize("condition", ["TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'"])
async def test_an_import_under_a_false_condition_is_ignored(project: Project, condition: str) -> None:
    project.write("script.py", "raise RuntimeError('graphs do not import this')\n")
    lines = f"import typing\nfrom typing import TYPE_CHECKING\nif {condition}:\n    import script\n"
    project.write("one.py", lines + SIMPLE)
    registry = await project.load({"a": "./one.py:graph"})
    with capture_logs() as logs:
        assert not is_graph_module(registry, "script")
    assert logs == []


async def test_stored_data_imports_no_module_that_the_code_does_not_import(project: Project) -> None:
    project.write("side_effect.py", f"open({str(project.folder / 'imported')!r}, 'w').close()\n" + CLASSES)
    project.write("one.py", "def node(state):\n    name = 'side_effect'\n    __import__(name)\n\n" + SIMPLE)
    registry = await project.load({"a": "./one.py:graph"})
    sys.path.insert(0, str(project.folder))
    thing = dataclasses.make_dataclass("Thing", ["size"])
    thing.__module__ = "side_effect"
    stored = Serde().dumps(thing(3))
    with capture_logs() as logs:
        assert Serde(ClassAllowlist(modules=registry.module)).loads(stored) == {"size": 3}
    assert not (project.folder / "imported").exists()
    assert "side_effect" not in sys.modules
    assert "allowed_msgpack_modules" in logs[0]["reason"]
