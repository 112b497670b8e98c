"""Graphs with several versions: loading, opening and naming them."""

from __future__ import annotations

import pytest

from slipway.errors import GraphUnavailable, NotFound
from slipway.graphs.registry import Registry
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
