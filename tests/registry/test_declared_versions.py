"""The members of `slipway.graphs.NAME` that declare versions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slipway.errors import ConfigError
from slipway.graphs.langgraph_json import read
from slipway.graphs.spec import DeclaredVersion, GraphSpec
from tests.registry.conftest import Project

VERSIONS = {"1": "./v1.py:graph", "2": "./v2.py:graph"}


def spec(project: Project, section: dict[str, Any], source: str = "./v2.py:graph") -> GraphSpec:
    return read(project.config({"desk": source}, slipway={"graphs": {"desk": section}})).graphs["desk"]


def test_versions_are_read_in_their_order(project: Project) -> None:
    section = {
        "versions": {"b": "./v1.py:graph", "a": "./v2.py:graph"},
        "default": "a",
        "moves": "pinned",
        "migrations": "./migrations.py",
        "on_exhausted": "pause",
        "behaviour": "3",
        "removed_channels": ["note"],
    }
    desk = spec(project, section)
    assert desk.versions == (DeclaredVersion("b", "./v1.py:graph"), DeclaredVersion("a", "./v2.py:graph"))
    assert (desk.default_version, desk.source, desk.moves) == ("a", "./v2.py:graph", "pinned")
    assert (desk.migrations, desk.on_exhausted, desk.behaviour) == ("./migrations.py", "pause", "3")
    assert desk.removed_channels == ("note",)


def test_a_graph_without_versions_is_undeclared_and_moves_at_resume(project: Project) -> None:
    desk = spec(project, {})
    assert (desk.versions, desk.default_version, desk.moves) == ((), None, "at-resume")
    assert (desk.migrations, desk.on_exhausted, desk.behaviour) == (None, "fail", "")


def test_a_version_alone_names_the_only_one(project: Project) -> None:
    desk = spec(project, {"version": "2.1", "migrations": "./migrations.py"})
    assert desk.versions == (DeclaredVersion("2.1", "./v2.py:graph"),)
    assert (desk.default_version, desk.moves) == ("2.1", "at-next-run")


def test_the_default_of_a_single_version_is_that_version(project: Project) -> None:
    assert spec(project, {"versions": {"2": "./v2.py:graph"}}).default_version == "2"


def test_graphs_may_name_the_source_of_any_version(project: Project) -> None:
    desk = spec(project, {"versions": VERSIONS, "default": "2"}, "v1.py:graph")
    assert desk.source == "./v2.py:graph"


@pytest.mark.parametrize(
    ("section", "member", "problem"),
    [
        ({"versions": VERSIONS, "default": "3"}, "default", "unknown version '3'; choose one of: 1, 2"),
        ({"versions": VERSIONS, "default": "two"}, "default", "unknown version 'two'; choose one of: 1, 2"),
        (
            {"versions": VERSIONS},
            "",
            'has 2 versions and no default: add the version of new threads, such as "d',
        ),
        ({"versions": {}}, "versions", "names no version: add one"),
        ({"versions": VERSIONS, "default": "2", "version": "1"}, "version", "has no effect beside versions"),
        ({"default": "2"}, "default", "has no effect without versions"),
        ({"migrations": "./m.py"}, "migrations", "has no effect without version or versions"),
        (
            {"versions": {"1": "./v2.py:graph", "2": "v2.py:graph"}, "default": "2"},
            "versions.2",
            "has the source of version '1': two versions need two sources",
        ),
        (
            {"versions": {"1": "./v1.py:graph", "2": "./other.py:graph"}, "default": "2"},
            "versions",
            "none of them has the source './v2.py:graph', which graphs names for this graph",
        ),
        ({"versions": {"a@b": "./v2.py:graph"}}, "versions.a@b", "'a@b' is not the name of a version: use up to 64"),
        ({"versions": {"": "./v2.py:graph"}}, "versions.", "'' is not the name of a version"),
        ({"versions": {"-1": "./v2.py:graph"}}, "versions.-1", "begin with a letter or a digit"),
        ({"version": "a" * 65}, "version", "is not the name of a version"),
        ({"versions": {"1": "v2.py"}}, "versions.1", "expected './file.py:attribute' or 'package.module:attribute'"),
        ({"versions": ["./v2.py:graph"]}, "versions", "expected an object, found a list"),
        ({"moves": "never"}, "moves", "unknown 'never'; choose one of: pinned, at-next-run, at-resume"),
        ({"on_exhausted": "retry"}, "on_exhausted", "unknown 'retry'; choose one of: fail, pause"),
        ({"behaviour": 3}, "behaviour", "expected a non-empty string, found a number"),
        ({"migration": "./m.py"}, "migration", "unknown key; did you mean 'migrations'?"),
    ],
)
def test_a_wrong_declaration_is_rejected_with_file_and_line(
    project: Project, section: dict[str, Any], member: str, problem: str
) -> None:
    text = json.dumps(
        {"graphs": {"desk": "./v2.py:graph"}, "slipway": {"graphs": {"desk": section}}}, indent=1, ensure_ascii=False
    )
    file = project.write("langgraph.json", text)
    with pytest.raises(ConfigError) as caught:
        read(file)
    message = str(caught.value)
    assert problem in message
    where, _, rest = message.removeprefix(f"{file}:").partition(":")
    assert rest.startswith(f" slipway.graphs.desk{'.' if member else ''}{member}: "), message
    key = (member or "desk").rpartition(".")[2]
    assert f'"{key}"' in text.splitlines()[int(where) - 1], message
