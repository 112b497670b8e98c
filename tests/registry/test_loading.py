"""Importing the graphs that langgraph.json names."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import pytest

from slipway.errors import GraphUnavailable, NotFound
from slipway.graphs.registry import Registry
from tests.registry.conftest import SIMPLE, Project


async def run_graph(registry: Registry, graph_id: str) -> str:
    async with registry.open(graph_id, {}, "threads.create_run") as graph:
        return str((await graph.ainvoke({"text": "hello"}))["text"])


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("one.py", "./one.py:graph"),
        ("one.py", "one.py:graph"),
        ("one.py", "one:graph"),
        ("one.py", "./one.py:builder"),
        ("deep/er/one.py", "./deep/er/one.py:graph"),
        ("pkg/one.py", "pkg.one:graph"),
        ("with-dash/one.py", "./with-dash/one.py:graph"),
        ("two words.py", "./two words.py:graph"),
        ("json.py", "./json.py:graph"),
    ],
)
async def test_a_source_is_a_file_or_a_module_with_an_attribute(project: Project, file: str, source: str) -> None:
    project.write(file)
    registry = await project.load({"a": source})
    assert registry.failures() == {}
    assert await run_graph(registry, "a") == "HELLO"


async def test_a_source_can_name_an_attribute_of_an_attribute(project: Project) -> None:
    project.write("one.py", SIMPLE + "\nclass Shop:\n    desk = graph\n")
    assert await run_graph(await project.load({"a": "./one.py:Shop.desk"}), "a") == "HELLO"


async def test_files_with_the_same_name_do_not_collide(project: Project) -> None:
    project.write("a/agent.py", SIMPLE.replace("upper", "title"))
    project.write("b/agent.py", SIMPLE)
    registry = await project.load({"a": "./a/agent.py:graph", "b": "./b/agent.py:graph"}, dependencies=["./a", "./b"])
    assert (await run_graph(registry, "a"), await run_graph(registry, "b")) == ("Hello", "HELLO")


async def test_projects_with_the_same_file_names_do_not_collide(project: Project) -> None:
    for name, method in (("first", "title"), ("second", "upper")):
        inner = Project(project.folder / name)
        inner.write("json.py", SIMPLE.replace("upper", method))
        inner.write("agent.py", SIMPLE.replace("upper", method))
        registry = await inner.load({"a": "./agent.py:graph", "j": "./json.py:graph"})
        expected = getattr("hello", method)()
        assert [await run_graph(registry, "a"), await run_graph(registry, "j")] == [expected, expected]


@pytest.mark.parametrize("parent", [".", "elsewhere"])
async def test_relative_imports_work_in_a_package(project: Project, parent: str) -> None:
    project.write(f"{parent}/shop/__init__.py", "")
    project.write(f"{parent}/shop/core/__init__.py", "")
    project.write(f"{parent}/shop/core/base.py", SIMPLE)
    project.write(f"{parent}/shop/core/desk.py", "from .base import builder\nfrom .. import core\ngraph = builder\n")
    registry = await project.load({"a": f"./{parent}/shop/core/desk.py:graph"}, dependencies=["."])
    assert registry.failures() == {}
    assert await run_graph(registry, "a") == "HELLO"


async def test_a_graph_can_be_in_the_init_of_a_package(project: Project) -> None:
    project.write("shop/__init__.py")
    project.write("far/desk/__init__.py")
    registry = await project.load({"a": "./shop/__init__.py:graph", "b": "./far/desk/__init__.py:graph"})
    assert registry.failures() == {}
    assert (await run_graph(registry, "a"), await run_graph(registry, "b")) == ("HELLO", "HELLO")


async def test_dependencies_are_importable(project: Project) -> None:
    project.write("lib/words.py", "LOUD = str.upper\n")
    project.write("packages/shop/__init__.py", "")
    project.write("packages/shop/desk.py", "from words import LOUD\n" + SIMPLE)
    registry = await project.load(
        {"a": "shop.desk:graph"}, dependencies=["./lib", "./packages/shop", "not-a-real-package==1"]
    )
    assert registry.failures() == {}


async def test_a_file_is_imported_once_by_path_and_by_name(project: Project) -> None:
    project.write("pkg/one.py")
    project.write("two.py", "from pkg.one import State as Imported\nfrom pkg.one import graph\n")
    registry = await project.load({"a": "./pkg/one.py:graph", "b": "./two.py:graph"})
    assert [cls.__module__ for cls in registry.state_types()] == ["pkg.one"]


async def test_env_is_set_before_the_import_and_overrides_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_TEST_B", "already")
    project.write("one.py", "import os\nassert os.environ['REGISTRY_TEST_A'] == 'x'\n" + SIMPLE)
    registry = await project.load({"a": "./one.py:graph"}, env={"REGISTRY_TEST_A": "x", "REGISTRY_TEST_B": "file"})
    assert registry.failures() == {}
    assert os.environ["REGISTRY_TEST_B"] == "already"


async def test_graphs_are_imported_in_another_thread(project: Project) -> None:
    text = "import threading\nTHREAD = threading.get_ident()\nimport asyncio\nasyncio.run(asyncio.sleep(0))\n" + SIMPLE
    project.write("slow_import.py", text)
    registry, _ = await asyncio.gather(project.load({"a": "./slow_import.py:graph"}), asyncio.sleep(0))
    assert registry.failures() == {}
    importing_thread: int = sys.modules["slow_import"].THREAD
    assert importing_thread != threading.get_ident()


@pytest.mark.parametrize(
    ("text", "source", "parts"),
    [
        ("x = (\n", "./bad.py:graph", ["SyntaxError", "never closed", "bad.py:1"]),
        (
            "\n\nimport nowhere_at_all\n",
            "./bad.py:graph",
            ["ModuleNotFoundError", "nowhere_at_all", "bad.py:3", "install"],
        ),
        (
            "import json.nothing_like_it\n",
            "./bad.py:graph",
            ["ModuleNotFoundError", "'json' is installed (", "json/__init__.py) without this module"],
        ),
        ("from json import nothing_like_it\n", "./bad.py:graph", ["ImportError", "nothing_like_it", "bad.py:1"]),
        ("def f():\n    raise ValueError('no\\nkey')\nf()\n", "./bad.py:graph", ["ValueError: no key", "bad.py:2"]),
        ("import sys\nsys.exit(3)\n", "./bad.py:graph", ["SystemExit: 3", "bad.py:2"]),
        ("grph = 1\n", "./bad.py:graph", ["no attribute 'graph'", "did you mean 'grph'?"]),
        ("graph = {}\n", "./bad.py:graph", ["of type dict", "expected a compiled graph"]),
        ("class graph: ...\n", "./bad.py:graph", ["the class graph"]),
        ("def graph(a, b): ...\n", "./bad.py:graph", ["parameter 'a'", "RunnableConfig"]),
        (
            "from langgraph.graph import StateGraph\ngraph = StateGraph(dict)\n",
            "./bad.py:graph",
            ["ValueError", "entrypoint"],
        ),
        ("", "./baad.py:graph", ["there is no file ./baad.py", "did you mean 'bad.py'?"]),
        ("", "./graph.ts:graph", ["not a Python file"]),
        ("", "nowhere.at.all:graph", ["ModuleNotFoundError", "nowhere"]),
        ("", "slipway.my_graph:graph", ["'slipway' belongs to Slipway", "./slipway/my_graph.py"]),
    ],
)
async def test_a_graph_that_fails_to_load_is_skipped_with_the_reason(
    project: Project, text: str, source: str, parts: list[str]
) -> None:
    project.write("bad.py", text)
    project.write("good.py")
    registry = await project.load({"bad": source, "good": "./good.py:graph"})
    reason = registry.failures()["bad"]
    for part in parts:
        assert part in reason
    assert "\n" not in reason
    assert registry.names() == ["good"]
    assert await run_graph(registry, "good") == "HELLO"
    with pytest.raises(GraphUnavailable) as by_spec:
        registry.spec("bad")
    with pytest.raises(GraphUnavailable) as by_open:
        registry.open("bad", {}, "threads.read")
    with pytest.raises(GraphUnavailable):
        await registry.manifest("bad")
    assert (
        str(by_spec.value)
        == str(by_open.value)
        == "graph 'bad' cannot be served: it failed to load; the server's log has the reason"
    )


async def test_a_half_imported_file_is_not_used_by_a_second_graph(project: Project) -> None:
    project.write("half-done.py", SIMPLE + "\nraise RuntimeError('the rest is missing')\n")
    registry = await project.load({"a": "./half-done.py:graph", "b": "./half-done.py:graph"})
    assert {name: "the rest is missing" in reason for name, reason in registry.failures().items()} == {
        "a": True,
        "b": True,
    }


async def test_an_unknown_graph_is_not_found(project: Project) -> None:
    project.write("one.py")
    registry = await project.load({"one": "./one.py:graph"})
    for access in (registry.spec, lambda name: registry.open(name, {}, "threads.read")):
        with pytest.raises(NotFound, match="graph 'two' not found: it does not exist; existing: one"):
            access("two")
    with pytest.raises(NotFound):
        await registry.manifest("two")
