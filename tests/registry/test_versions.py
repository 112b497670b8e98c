"""Graphs with several versions: loading, opening and naming them."""

from __future__ import annotations

import contextlib
import json
import platform
import re
import sys
from typing import Any

import pytest

from slipway.errors import ConfigError, GraphUnavailable, NotFound
from slipway.graphs.builds import Build, BuildParts
from slipway.graphs.langgraph_json import read
from slipway.graphs.registry import Registry
from slipway.model_routes.node_check import check_nodes
from slipway.reviews.node_check import check_review_nodes
from slipway.tool_gateway.grant_nodes import check_nodes_of_grants
from tests.registry.conftest import SIMPLE, Project

SECOND = SIMPLE.replace("text: str", "text: str\n    more: int")

VERSIONS = {"1": "./v1.py:graph", "2": "./v2.py:graph"}


async def two_versions(project: Project, second: str = SECOND, **section: object) -> Registry:
    project.write("v1.py")
    project.write("v2.py", second)
    return await project.load(
        {"desk": "./v2.py:graph"}, slipway={"graphs": {"desk": {"versions": VERSIONS, "default": "2"} | section}}
    )


async def test_each_version_is_served_under_its_name(project: Project) -> None:
    registry = await two_versions(project)
    first, second = registry.versions("desk")
    assert [str(first), str(second)] == ["desk@1", "desk@2"]
    assert first.declared
    assert first.schema != second.schema
    assert registry.default_version("desk") == "2"
    async with registry.open("desk", {}, "threads.read", version="1") as graph:
        assert "more" not in graph.channels
    async with registry.open("desk", {}, "threads.read") as graph:
        assert "more" in graph.channels


async def test_an_unknown_version_is_not_found_and_the_known_ones_are_named(project: Project) -> None:
    registry = await two_versions(project)
    with pytest.raises(NotFound, match=r"graph version 'desk@3' not found: .*; existing: 1, 2"):
        registry.open("desk", {}, "threads.read", version="3")
    with pytest.raises(NotFound, match="graph version"):
        registry.version("desk", "3")


async def test_a_version_that_fails_to_load_does_not_stop_the_others(project: Project) -> None:
    registry = await two_versions(project, "import nowhere_to_be_found")
    assert registry.names() == ["desk"]
    assert list(registry.failures()) == ["desk@2"]
    assert [each.name for each in registry.versions("desk")] == ["1"]
    assert registry.default_version("desk") == "2"
    with pytest.raises(GraphUnavailable, match="version '2' of graph 'desk' cannot be served"):
        registry.open("desk", {}, "threads.read")
    async with registry.open("desk", {}, "threads.read", version="1") as graph:
        assert graph is not None


async def test_an_undeclared_version_has_the_release_in_its_name(project: Project) -> None:
    project.write("simple.py")
    file = project.config({"one": "./simple.py:graph"})
    [without] = (await Registry.load(file)).versions("one")
    [served] = (await Registry.load(file, release="r7")).versions("one")
    assert without.name == without.schema[:8]
    assert served.name == f"r7.{without.name}"
    assert served.schema == without.schema
    assert not served.declared


# modules


@pytest.mark.parametrize("first", ["1", "2"])
async def test_versions_in_packages_have_helpers_of_one_name(project: Project, first: str) -> None:
    for name in ("1", "2"):
        project.write(f"v{name}/__init__.py", "")
        project.write(f"v{name}/helpers.py", f"WHICH = 'only_{name}'")
        project.write(f"v{name}/graph.py", "from .helpers import WHICH\n" + SIMPLE.replace('"upper"', "WHICH"))
    sources = {name: f"./v{name}/graph.py:graph" for name in sorted("12", key=lambda name: name != first)}
    registry = await load_versions(project, sources)
    assert registry.failures() == {}
    for name in ("1", "2"):
        async with registry.open("desk", {}, "threads.read", version=name) as graph:
            assert f"only_{name}" in graph.nodes


async def test_a_version_that_gets_the_helpers_of_another_one_is_not_served(project: Project) -> None:
    for name in ("1", "2"):
        project.write(f"v{name}/helpers.py", f"WHICH = 'only_{name}'")
        project.write(f"v{name}/graph{name}.py", "import middle\n" + SIMPLE)
        project.write(f"v{name}/middle.py", "import helpers")
    sources = {name: f"./v{name}/graph{name}.py:graph" for name in ("1", "2")}
    registry = await load_versions(project, sources, dependencies=["./v1", "./v2"])
    assert [each.name for each in registry.versions("desk")] == ["1"]
    reason = registry.failures()["desk@2"]
    folder = project.folder.resolve()
    assert f"imports 'middle' and gets {folder}/v1/middle.py instead of {folder}/v2/middle.py" in reason
    assert f"add an __init__.py to {folder}/v2, and import it as '.middle'" in reason


async def test_two_versions_in_one_file_and_a_shared_helper_are_served(project: Project) -> None:
    project.write("helpers.py", "WHICH = 'shared'")
    project.write("both.py", "import helpers\n" + SIMPLE + "\nsecond = builder.compile(name='second')\n")
    project.write("deep/v3.py", "import helpers\n" + SIMPLE)
    sources = {"1": "./both.py:graph", "2": "./both.py:second", "3": "./deep/v3.py:graph"}
    registry = await load_versions(project, sources)
    assert registry.failures() == {}
    async with registry.open("desk", {}, "threads.read", version="2") as graph:
        assert graph.name == "second"


async def load_versions(project: Project, sources: dict[str, str], **sections: Any) -> Registry:
    """The last one is the default."""
    section = {"graphs": {"desk": {"versions": sources, "default": list(sources)[-1]}}}
    return await project.load({"desk": list(sources.values())[-1]}, slipway=section, **sections)


# factories


FACTORY = (
    SIMPLE
    + """
calls = []

def make(config):
    calls.append(config)
    return builder

def needs_config(config):
    return {"known": builder}[config["configurable"]["which"]]
"""
)


async def test_a_factory_is_called_once_to_identify_its_graph(project: Project) -> None:
    project.write("made.py", FACTORY)
    project.write("simple.py")
    registry = await project.load({"made": "./made.py:make", "plain": "./simple.py:graph"})
    assert (registry.version("made").schema, registry.version("made").name) == ("", "unknown")
    await registry.identify()
    await registry.identify()
    plain, made = registry.version("plain"), registry.version("made")
    assert made.schema == plain.schema != ""
    assert made.name == made.schema[:8]
    assert len(sys.modules["made"].calls) == 1
    assert await registry.structure("made") == await registry.structure("plain")
    with pytest.raises(NotFound):
        registry.open("made", {}, "threads.read", version="unknown")


async def test_a_factory_that_needs_a_config_is_served_without_a_schema(project: Project) -> None:
    project.write("made.py", FACTORY)
    section = {"graphs": {"named": {"version": "1"}}}
    graphs = {"made": "./made.py:needs_config", "named": "./made.py:needs_config"}
    registry = await Registry.load(project.config(graphs, slipway=section), release="r7")
    assert await registry.structure("made") is None
    await registry.identify()
    made, named = registry.version("made"), registry.version("named")
    assert (made.name, made.schema) == ("r7", "")
    assert (named.name, named.schema) == ("1", "")
    assert registry.build("made").fingerprint == ""
    async with registry.open("made", {"configurable": {"which": "known"}}, "threads.read") as graph:
        assert "upper" in graph.nodes


async def test_a_factory_that_takes_too_long_does_not_stop_the_start(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("made.py", SIMPLE + "\nimport asyncio\nasync def make():\n    await asyncio.Event().wait()\n")
    monkeypatch.setattr("slipway.graphs.registry.IDENTIFY_S", 0.01)
    registry = await project.load({"made": "./made.py:make"})
    await registry.identify()
    assert registry.version("made").schema == ""


# builds


async def test_a_build_says_what_runs_are_made_from(project: Project) -> None:
    text = "from slipway.nodes import uses\n" + SIMPLE.replace(
        "def upper", "@uses(prompts={'letter': '7'}, models=['openai:gpt-5'])\ndef upper"
    )
    registry = await two_versions(project, text)
    before = registry.version("desk")
    parts = BuildParts(tools={"refund": "abc"}, routes={"desk": {"*": ["openai:gpt-5"]}}, formats={"layout": 2})
    registry.use_build_parts(parts)
    build, served = registry.build("desk"), registry.version("desk")
    assert (build.graph, build.version, build.fingerprint[:16]) == ("desk", "2", served.schema)
    assert (build.prompts, build.models) == ({"upper": {"letter": "7"}}, {"upper": ["openai:gpt-5"]})
    assert (build.tools, build.routes, build.formats) == ({"refund": "abc"}, {"*": ["openai:gpt-5"]}, {"layout": 2})
    assert build.python == platform.python_version()
    assert served.build == build.id != before.build
    assert Build.from_json(json.loads(json.dumps(build.to_json()))) == build
    assert registry.build("desk", "1").id != build.id


# names in langgraph.json


@pytest.mark.parametrize(
    ("section", "where"),
    [
        ({"graphs": {"desk": {"models": {"NODE": "openai:gpt-5"}}}}, "slipway.graphs.desk.models."),
        ({"reviews": {"desk": {"nodes": {"NODE": {"quorum": 2}}}}}, "slipway.reviews.desk.nodes."),
        ({"grants": [{"effect": "permit", "graph": "desk", "nodes": ["NODE"], "tools": ["*"]}]}, "slipway.grants[0]"),
    ],
)
async def test_a_node_of_any_version_may_be_named(project: Project, section: dict[str, Any], where: str) -> None:
    project.write("v1.py")
    project.write("v2.py", SIMPLE.replace('"upper"', '"lower"'))
    declared = {"versions": VERSIONS, "default": "2"}
    for node, is_known in (("upper", True), ("lower", True), ("uper", False)):
        named = json.loads(json.dumps(section).replace("NODE", node))
        graphs = {"desk": declared | named.pop("graphs", {}).get("desk", {})}
        file = project.config({"desk": "./v2.py:graph"}, slipway=named | {"graphs": graphs})
        registry, config = await Registry.load(file), read(file)
        with contextlib.nullcontext() if is_known else pytest.raises(ConfigError, match=re.escape(where)):
            await check_nodes(config, registry)
            await check_review_nodes(config, registry)
            await check_nodes_of_grants(config, registry)


async def test_nodes_of_a_version_that_failed_to_load_may_be_named(project: Project) -> None:
    named = {"models": {"only_there": "openai:gpt-5"}}
    registry = await two_versions(project, "import nowhere_to_be_found", **named)
    await check_nodes(read(project.folder / "langgraph.json"), registry)
