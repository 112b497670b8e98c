from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from slipway.ceilings import NAMES as CEILINGS
from slipway.errors import ConfigError
from slipway.graphs.langgraph_json import DEFAULT_CONFIGS, SECTION_VARIABLES, LangGraphDocument, read
from slipway.graphs.slipway_section import CeilingsSection
from slipway.settings import Settings
from tests.registry.conftest import Project

ONE = {"one": "./one.py:graph"}


def test_string_and_object_form(project: Project) -> None:
    found = read(project.config({**ONE, "two": {"path": "pkg.two:make", "description": "The second", "more": 1}}))
    assert list(found.graphs) == ["one", "two"]
    assert found.graphs["one"].source == "./one.py:graph"
    assert found.graphs["one"].description is None
    assert (found.graphs["two"].source, found.graphs["two"].description) == ("pkg.two:make", "The second")


VARIABLES = [*SECTION_VARIABLES.values(), DEFAULT_CONFIGS]
"""Those that hold JSON."""


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize(
    ("text", "said"), [("{", "not JSON: .* at line 1, column 2"), ("[]", "expected an object, found a list")]
)
def test_json_in_a_variable_that_is_none_names_it(project: Project, variable: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"{variable}: {said}"):
        read(project.config(ONE), {variable: text})


@pytest.mark.parametrize("variable", VARIABLES)
def test_json_of_a_variable_in_the_files_env_counts_too(project: Project, variable: str) -> None:
    with pytest.raises(ConfigError, match=f"{variable}: not JSON"):
        read(project.config(ONE, env={variable: "{"}), {})
    read(
        project.config(ONE, env={variable: "{"}), {variable: json.dumps(ONE if variable == "LANGSERVE_GRAPHS" else {})}
    )


def test_the_files_other_sections_hold_when_a_variable_names_the_graphs(project: Project) -> None:
    file = project.config(ONE, auth={"path": "./auth.py:auth"}, http={"disable_ui": True})
    found = read(file, {"LANGSERVE_GRAPHS": json.dumps({"other": "./other.py:graph"})})
    assert (list(found.graphs), found.auth.path, found.http.disable_ui) == (["other"], "./auth.py:auth", True)


def test_default_configs(project: Project) -> None:
    given = {"one": {"configurable": {"a": 1}, "recursion_limit": 7, "max_concurrency": 2}, "other": {}}
    with capture_logs() as lines:
        found = read(project.config(ONE), {DEFAULT_CONFIGS: json.dumps(given)}).graphs["one"]
    assert found.config == given["one"]
    assert [(line["event"], "no graph 'other'" in line["problem"]) for line in lines] == [
        ("graphs.default_config_unused", True)
    ]


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (5, "LANGGRAPH_CONFIG.one: expected an object"),
        ({"configurable": []}, "LANGGRAPH_CONFIG.one.configurable: "),
        ({"recursion_limit": "7"}, "LANGGRAPH_CONFIG.one.recursion_limit: "),
        ({"tags": "x"}, "LANGGRAPH_CONFIG.one.tags: "),
        (
            {"configurable": {"ceilings": {"max_tokens": 5}}},
            r"LANGGRAPH_CONFIG.one.configurable.ceilings.max_tokens: .* cannot be enforced",
        ),
        ({"configurable": {"priority": "urgent"}}, "LANGGRAPH_CONFIG.one.configurable.priority: unknown 'urgent'"),
    ],
)
def test_a_default_config_that_is_none_is_refused(project: Project, config: object, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        read(project.config(ONE), {DEFAULT_CONFIGS: json.dumps({"one": config})})


def test_defaults_of_a_graph(project: Project) -> None:
    one = read(project.config(ONE)).graphs["one"]
    assert (one.execution, one.inline_budget_s, one.ceilings, one.version) == ("worker", None, {}, "1")


def test_our_section(project: Project) -> None:
    options = {"execution": "inline", "inline_budget_s": 2.5, "version": "3", "ceilings": {"max_steps": 50}}
    ours = {"graphs": {"one": options}, "ceilings": {"max_steps": 200, "max_active_s": 1.5}}
    found = read(project.config({**ONE, "two": "./two.py:graph"}, slipway=ours)).graphs
    assert (found["one"].execution, found["one"].inline_budget_s, found["one"].version) == ("inline", 2.5, "3")
    assert found["one"].ceilings == {"max_steps": 50, "max_active_s": 1.5}
    assert found["two"].ceilings == {"max_steps": 200, "max_active_s": 1.5}


def test_ceilings_are_those_of_the_settings() -> None:
    assert set(CEILINGS) == {name for name in Settings.model_fields if name in CEILINGS}
    assert set(CEILINGS) == CeilingsSection.model_fields.keys()


def test_the_file_has_a_json_schema() -> None:
    schema = LangGraphDocument.model_json_schema()
    assert {"graphs", "env", "slipway"} <= schema["properties"].keys()


def test_foreign_keys_are_accepted(project: Project) -> None:
    read(project.config(ONE, python_version="3.12", auth={"path": "./auth.py:auth"}, invented=[1]))


@pytest.mark.parametrize(
    ("more", "path", "problem"),
    [
        ({"slipway": []}, "slipway:", "expected an object, found a list"),
        ({"slipway": {"graph": {}}}, "slipway.graph:", "unknown key; did you mean 'graphs'?"),
        ({"slipway": {"graphs": {"on": {}}}}, "slipway.graphs.on:", "did you mean 'one'?"),
        ({"slipway": {"graphs": {"one": 1}}}, "slipway.graphs.one:", "expected an object, found a number"),
        ({"slipway": {"graphs": {"one": {"exection": "inline"}}}}, "one.exection:", "did you mean 'execution'?"),
        ({"slipway": {"graphs": {"one": {"execution": "inlin"}}}}, "one.execution:", "did you mean 'inline'?"),
        ({"slipway": {"graphs": {"one": {"execution": ["x"]}}}}, "one.execution:", "choose one of: worker, inline"),
        ({"slipway": {"graphs": {"one": {"inline_budget_s": "5"}}}}, "inline_budget_s:", "expected a number"),
        ({"slipway": {"graphs": {"one": {"inline_budget_s": 0}}}}, "inline_budget_s:", "above 0"),
        ({"slipway": {"ceilings": {"max_tokens": 5}}}, "slipway.ceilings.max_tokens:", "cannot be enforced"),
        ({"slipway": {"graphs": {"one": {"ceilings": {"max_cost_usd": 5}}}}}, "ceilings.max_cost_usd:", "cannot be"),
        ({"slipway": {"graphs": {"one": {"version": 1}}}}, "one.version:", "expected a non-empty string"),
        ({"slipway": {"ceilings": {"max_step": 5}}}, "slipway.ceilings.max_step:", "did you mean 'max_steps'?"),
        ({"slipway": {"ceilings": {"max_steps": True}}}, "max_steps:", "expected a number, found a boolean"),
        ({"slipway": {"ceilings": {"max_steps": 1.5}}}, "max_steps:", "whole number"),
        ({"slipway": {"ceilings": {"max_steps": None}}}, "max_steps:", "expected a number, found null"),
        ({"slipway": {"ceilings": {"max_steps": 0}}}, "max_steps:", "expected a number above 0, found 0"),
        ({"slipway": {"graphs": {"one": {"max_running_runs": 0}}}}, "one.max_running_runs:", "above 0"),
        ({"http": {"disable_ui": "yes"}}, "http.disable_ui:", "expected true or false, found the string 'yes'"),
        ({"http": {"cors": {"allow_origins": [1]}}}, "http.cors.allow_origins[0]:", "string, found a number"),
        ({"store": {"index": {"embed": "a:b"}}}, "store.index.dims:", "is required"),
        ({"slipway": {"ceilings": {"max_steps": float("inf")}}}, "max_steps:", "above 0"),
        ({"dependencies": "."}, "dependencies:", "expected a list, found the string '.'"),
        ({"dependencies": [1]}, "dependencies[0]:", "expected a non-empty string"),
        ({"dependencies": ["./nowhere"]}, "dependencies[0]:", "there is no folder './nowhere'"),
        ({"store": {"ttl": {"default_ttl": 0}}}, "store.ttl.default_ttl:", "above 0, found 0"),
        ({"checkpointer": {"ttl": {"default_ttl": 0}}}, "checkpointer.ttl.default_ttl:", "above 0, found 0"),
        ({"env": []}, "env:", "expected an object, found a list"),
        ({"env": {"A": None}}, "env.A:", "expected a string, found null"),
    ],
)
def test_refusals_name_the_key(project: Project, more: dict[str, Any], path: str, problem: str) -> None:
    file = project.config(ONE, **more)
    with pytest.raises(ConfigError) as caught:
        read(file)
    assert str(file) in str(caught.value)
    assert path in str(caught.value)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("value", "path", "problem"),
    [
        ("one.py", "graphs.one:", "expected './file.py:attribute' or 'package.module:attribute'"),
        (":graph", "graphs.one:", "expected './file.py:attribute'"),
        ("", "graphs.one:", "an empty string"),
        (3, "graphs.one:", "expected a non-empty string, found a number"),
        ({}, "graphs.one.path:", "found null"),
        ({"path": "./one.py:graph", "description": 3}, "graphs.one.description:", "found a number"),
    ],
)
def test_refused_sources(project: Project, value: object, path: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(project.config({"one": value}))
    assert path in str(caught.value)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"graphs": {\n  "a": }\n}', "line 2, column 8"),
        ("", "line 1, column 1"),
        ("[]", "expected an object, found a list"),
        ("{}", "graphs: names no graph"),
        ('{"graphs": {"a": "./a.py:x", "a": "./b.py:x"}}', "a: given twice"),
    ],
)
def test_what_is_wrong_with_the_file(project: Project, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=r"langgraph\.json") as caught:
        read(project.write("langgraph.json", text))
    assert problem in str(caught.value)


def test_not_utf8(project: Project) -> None:
    file = project.folder / "langgraph.json"
    file.write_bytes(b'{"graphs": {"\xff": 1}}')
    with pytest.raises(ConfigError, match="not UTF-8"):
        read(file)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file.*Create it with.*--config"):
        read(tmp_path / "langgraph.json")


def test_search_paths(project: Project) -> None:
    project.write("plain/x.py")
    project.write("packaged/shop/__init__.py", "")
    project.write("installed/pyproject.toml", "")
    project.write("installed/src/thing/__init__.py", "")
    found = read(project.config(ONE, dependencies=["./plain", "./packaged/shop", "./installed", "langchain>=1"]))
    folders = [str(path.relative_to(project.folder.resolve())) for path in found.search_paths]
    assert folders == ["plain", "packaged", "installed/src", "installed", "."]


def test_an_absolute_folder_among_the_dependencies_is_searched(project: Project) -> None:
    project.write("elsewhere/x.py")
    elsewhere = (project.folder / "elsewhere").resolve()
    assert read(project.config(ONE, dependencies=[str(elsewhere)])).search_paths[0] == elsewhere


def test_env_as_an_object_and_as_a_file(project: Project) -> None:
    assert read(project.config(ONE, env={"A": "x", "B": 2})).env == {"A": "x", "B": "2"}
    project.write(".env", "# secret\nA='x y'\nexport B=2\n")
    assert read(project.config(ONE, env=".env")).env == {"A": "x y", "B": "2"}


@pytest.mark.parametrize("given", ["many", "0", "-1", "1e3", "²"])
def test_a_default_recursion_limit_that_is_none_is_named(project: Project, given: str) -> None:
    file = project.config(ONE, env={"LANGGRAPH_DEFAULT_RECURSION_LIMIT": given})
    with pytest.raises(ConfigError, match="LANGGRAPH_DEFAULT_RECURSION_LIMIT: must be a whole number, 1 or more"):
        read(file)
    read(file, {"LANGGRAPH_DEFAULT_RECURSION_LIMIT": "30"})


def test_a_missing_env_file_is_no_error_and_logged_once(project: Project) -> None:
    file = project.config(ONE, env="./.env")
    with capture_logs() as told:
        assert [read(file).env for _ in range(2)] == [{}, {}]
    assert [line["event"] for line in told] == ["graphs.env_file_missing"]


@pytest.mark.parametrize(
    ("given", "packed", "json_"),
    [
        ({}, [], []),
        ({"allowed_msgpack_modules": [["shop.models", "Order"]]}, [["shop.models", "Order"]], []),
        ({"allowed_msgpack_modules": True, "allowed_json_modules": [["shop"]]}, True, [["shop"]]),
        ({"allowed_msgpack_modules": None, "pickle_fallback": True, "other": 1}, False, []),
        ({"allowed_msgpack_modules": False, "allowed_json_modules": True}, False, True),
    ],
)
def test_classes_that_are_restored_from_stored_state(project: Project, given: Any, packed: Any, json_: Any) -> None:
    serde = read(project.config(ONE, checkpointer={"serde": given})).checkpointer.serde
    assert (serde.allowed_msgpack_modules, serde.allowed_json_modules) == (packed, json_)


@pytest.mark.parametrize("given", ["shop", ["shop"], [[]], [["shop", 1]], 1])
def test_what_names_no_classes_is_refused(project: Project, given: Any) -> None:
    with pytest.raises(ConfigError, match=r"checkpointer\.serde\.allowed_msgpack_modules"):
        read(project.config(ONE, checkpointer={"serde": {"allowed_msgpack_modules": given}}))
