"""Reading langgraph.json and the environment variables that replace its sections."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from slipway.accounting.limits import NAMES as CEILINGS
from slipway.errors import ConfigError
from slipway.graphs.langgraph_json import DEFAULT_CONFIGS, SECTION_VARIABLES, LangGraphDocument, read
from slipway.graphs.slipway_section import CeilingsSection
from slipway.settings import Settings
from tests.registry.conftest import Project

ONE = {"one": "./one.py:graph"}


def test_a_graph_is_a_string_or_an_object(project: Project) -> None:
    config = read(project.config({**ONE, "two": {"path": "pkg.two:make", "description": "The second", "more": 1}}))
    assert list(config.graphs) == ["one", "two"]
    assert config.graphs["one"].source == "./one.py:graph"
    assert config.graphs["one"].description is None
    assert (config.graphs["two"].source, config.graphs["two"].description) == ("pkg.two:make", "The second")


VARIABLES = [*SECTION_VARIABLES.values(), DEFAULT_CONFIGS]
"""The environment variables with JSON."""


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize(
    ("text", "problem"), [("{", "not JSON: .* at line 1, column 2"), ("[]", "expected an object, found a list")]
)
def test_invalid_json_in_a_variable_names_the_variable(
    project: Project, variable: str, text: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=f"{variable}: {problem}"):
        read(project.config(ONE), {variable: text})


@pytest.mark.parametrize("variable", VARIABLES)
def test_variables_in_the_env_section_are_read_too(project: Project, variable: str) -> None:
    with pytest.raises(ConfigError, match=f"{variable}: not JSON"):
        read(project.config(ONE, env={variable: "{"}), {})
    read(
        project.config(ONE, env={variable: "{"}), {variable: json.dumps(ONE if variable == "LANGSERVE_GRAPHS" else {})}
    )


def test_the_other_sections_are_read_when_a_variable_has_the_graphs(project: Project) -> None:
    file = project.config(ONE, auth={"path": "./auth.py:auth"}, http={"disable_ui": True})
    config = read(file, {"LANGSERVE_GRAPHS": json.dumps({"other": "./other.py:graph"})})
    assert (list(config.graphs), config.auth.path, config.http.disable_ui) == (["other"], "./auth.py:auth", True)


def test_a_graph_has_its_default_config(project: Project) -> None:
    configs = {"one": {"configurable": {"a": 1}, "recursion_limit": 7, "max_concurrency": 2}, "other": {}}
    with capture_logs() as lines:
        graph = read(project.config(ONE), {DEFAULT_CONFIGS: json.dumps(configs)}).graphs["one"]
    assert graph.config == configs["one"]
    assert [(line["event"], "no graph 'other'" in line["problem"]) for line in lines] == [
        ("graphs.default_config_unused", True)
    ]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (5, "LANGGRAPH_CONFIG.one: expected an object"),
        ({"configurable": []}, "LANGGRAPH_CONFIG.one.configurable: "),
        ({"recursion_limit": "7"}, "LANGGRAPH_CONFIG.one.recursion_limit: "),
        ({"tags": "x"}, "LANGGRAPH_CONFIG.one.tags: "),
        (
            {"configurable": {"ceilings": {"max_token": 5}}},
            r"LANGGRAPH_CONFIG.one.configurable.ceilings.max_token: .* did you mean 'max_tokens'",
        ),
        ({"configurable": {"priority": "urgent"}}, "LANGGRAPH_CONFIG.one.configurable.priority: unknown 'urgent'"),
    ],
)
def test_an_invalid_default_config_is_rejected(project: Project, config: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(project.config(ONE), {DEFAULT_CONFIGS: json.dumps({"one": config})})


def test_a_graph_without_options_has_the_defaults(project: Project) -> None:
    one = read(project.config(ONE)).graphs["one"]
    assert (one.execution, one.inline_budget_s, one.ceilings, one.versions) == ("worker", None, {}, ())


def test_the_section_slipway_has_options_of_graphs_and_ceilings(project: Project) -> None:
    options = {"execution": "inline", "inline_budget_s": 2.5, "version": "3", "ceilings": {"max_steps": 50}}
    section = {"graphs": {"one": options}, "ceilings": {"max_steps": 200, "max_active_s": 1.5}}
    graphs = read(project.config({**ONE, "two": "./two.py:graph"}, slipway=section)).graphs
    assert (graphs["one"].execution, graphs["one"].inline_budget_s) == ("inline", 2.5)
    assert graphs["one"].default_version == "3"
    assert graphs["one"].ceilings == {"max_steps": 50, "max_active_s": 1.5}
    assert graphs["two"].ceilings == {"max_steps": 200, "max_active_s": 1.5}


def test_the_section_has_the_ceilings_of_the_settings() -> None:
    assert set(CEILINGS) == {name for name in Settings.model_fields if name in CEILINGS}
    assert set(CEILINGS) == CeilingsSection.model_fields.keys()


def test_the_file_has_a_json_schema() -> None:
    schema = LangGraphDocument.model_json_schema()
    assert {"graphs", "env", "slipway"} <= schema["properties"].keys()


def test_unknown_sections_are_accepted(project: Project) -> None:
    read(project.config(ONE, python_version="3.12", auth={"path": "./auth.py:auth"}, invented=[1]))


@pytest.mark.parametrize(
    ("sections", "path", "problem"),
    [
        ({"slipway": []}, "slipway:", "expected an object, found a list"),
        ({"ceilings": {"max_cost_usd": 1}}, "ceilings:", "has no effect here; write it as slipway.ceilings"),
        ({"slipway": {"graph": {}}}, "slipway.graph:", "unknown key; did you mean 'graphs'?"),
        ({"slipway": {"graphs": {"on": {}}}}, "slipway.graphs.on:", "did you mean 'one'?"),
        ({"slipway": {"graphs": {"one": 1}}}, "slipway.graphs.one:", "expected an object, found a number"),
        ({"slipway": {"graphs": {"one": {"exection": "inline"}}}}, "one.exection:", "did you mean 'execution'?"),
        ({"slipway": {"graphs": {"one": {"execution": "inlin"}}}}, "one.execution:", "did you mean 'inline'?"),
        ({"slipway": {"graphs": {"one": {"execution": ["x"]}}}}, "one.execution:", "choose one of: worker, inline"),
        ({"slipway": {"graphs": {"one": {"inline_budget_s": "5"}}}}, "inline_budget_s:", "expected a number"),
        ({"slipway": {"graphs": {"one": {"inline_budget_s": 0}}}}, "inline_budget_s:", "above 0"),
        ({"slipway": {"ceilings": {"max_tokens": 0}}}, "slipway.ceilings.max_tokens:", "above 0"),
        (
            {"slipway": {"prices": {"m": {"input": -1, "output": 1}}}},
            "slipway.prices.m.input:",
            "expected a number, 0 or more",
        ),
        ({"slipway": {"models": {"m": []}}}, "slipway.models.m:", "expected at least 1, found 0"),
        (
            {"slipway": {"mcp": {"m": {"pinned": "x"}}}},
            "slipway.mcp.m.pinned:",
            "expected a string that matches ^sha256:",
        ),
        ({"slipway": {"reviews": {"one": {"default": "no", "due_s": 5}}}}, "reviews.one.default:", "approve, reject"),
        ({"slipway": {"prices": {"m": {"input": 1}}}}, "slipway.prices.m.output:", "is required"),
        ({"slipway": {"prices": {"m": {"input": 1, "outptu": 1}}}}, "slipway.prices.m.outptu:", "'output'"),
        ({"slipway": {"budgets": {"graphs": {"noe": {}}}}}, "slipway.budgets.graphs.noe:", "did you mean 'one'?"),
        ({"slipway": {"budgets": {"owner": {"week": {}}}}}, "slipway.budgets.owner.week:", "choose one of: day"),
        ({"slipway": {"budgets": {"owner": {"day": {"runs": 0}}}}}, "budgets.owner.day.runs:", "above 0"),
        ({"slipway": {"graphs": {"one": {"version": 1}}}}, "one.version:", "expected a non-empty string"),
        ({"slipway": {"ceilings": {"max_step": 5}}}, "slipway.ceilings.max_step:", "did you mean 'max_steps'?"),
        ({"slipway": {"ceilings": {"max_steps": True}}}, "max_steps:", "expected a number, found a boolean"),
        ({"slipway": {"ceilings": {"max_steps": 1.5}}}, "max_steps:", "whole number"),
        ({"slipway": {"ceilings": {"max_steps": None}}}, "max_steps:", "expected a number, found null"),
        ({"slipway": {"ceilings": {"max_steps": 0}}}, "max_steps:", "expected a number above 0, found 0"),
        ({"slipway": {"graphs": {"one": {"max_running_runs": 0}}}}, "one.max_running_runs:", "above 0"),
        ({"slipway": {"graphs": {"one": {"keep_checkpoints": 0}}}}, "one.keep_checkpoints", "above 0"),
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
def test_invalid_values_are_rejected_with_their_key(
    project: Project, sections: dict[str, Any], path: str, problem: str
) -> None:
    file = project.config(ONE, **sections)
    with pytest.raises(ConfigError) as caught:
        read(file)
    assert str(file) in str(caught.value)
    assert path in str(caught.value)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("slipway", "problem"),
    [
        ({"prices": {"m": {"input": 1, "output": -1}}}, "9: slipway.prices.m.output: expected a number, 0 or more"),
        ({"grants": [{"effect": "permit", "tools": ["*"], "graf": "*"}]}, "12: slipway.grants[0].graf: unknown key"),
        ({"grants": [{"effect": "permit", "graph": "*"}]}, "7: slipway.grants[0].tools: is required"),
        ({"reviews": {"noe": {"quorum": 2}}}, "7: slipway.reviews.noe: unknown graph; did you mean 'one'?"),
        (
            {"graphs": {"one": {"models": {"*": "cheap"}}}},
            "9: slipway.graphs.one.models.*: unknown model route 'cheap'",
        ),
    ],
    ids=["number", "unknown key", "missing key", "graph", "model route"],
)
def test_the_error_has_the_line_of_the_wrong_value(project: Project, slipway: object, problem: str) -> None:
    text = json.dumps({"graphs": {"one": "./one.py:graph"}, "slipway": slipway}, indent=1)
    with pytest.raises(ConfigError) as caught:
        read(project.write("langgraph.json", text))
    assert f"langgraph.json:{problem}" in str(caught.value)


def test_the_error_in_a_section_from_a_variable_has_no_line(project: Project) -> None:
    with pytest.raises(ConfigError, match=r"langgraph\.json: http\.disable_ui: expected true or false"):
        read(project.config(ONE), {"LANGGRAPH_HTTP": '{"disable_ui": 1}'})


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
def test_invalid_sources_of_graphs_are_rejected(project: Project, value: object, path: str, problem: str) -> None:
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
def test_the_problem_of_an_invalid_file_is_named(project: Project, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=r"langgraph\.json") as caught:
        read(project.write("langgraph.json", text))
    assert problem in str(caught.value)


def test_a_file_that_is_not_utf8_is_rejected(project: Project) -> None:
    file = project.folder / "langgraph.json"
    file.write_bytes(b'{"graphs": {"\xff": 1}}')
    with pytest.raises(ConfigError, match="not UTF-8"):
        read(file)


def test_the_error_for_a_missing_file_has_the_next_steps(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file.*Create it with.*--config"):
        read(tmp_path / "langgraph.json")


def test_folders_of_dependencies_are_search_paths(project: Project) -> None:
    project.write("plain/x.py")
    project.write("packaged/shop/__init__.py", "")
    project.write("installed/pyproject.toml", "")
    project.write("installed/src/thing/__init__.py", "")
    config = read(project.config(ONE, dependencies=["./plain", "./packaged/shop", "./installed", "langchain>=1"]))
    folders = [str(path.relative_to(project.folder.resolve())) for path in config.search_paths]
    assert folders == ["plain", "packaged", "installed/src", "installed", "."]


def test_an_absolute_folder_among_the_dependencies_is_searched(project: Project) -> None:
    project.write("elsewhere/x.py")
    elsewhere = (project.folder / "elsewhere").resolve()
    assert read(project.config(ONE, dependencies=[str(elsewhere)])).search_paths[0] == elsewhere


def test_env_is_an_object_or_the_path_of_a_file(project: Project) -> None:
    assert read(project.config(ONE, env={"A": "x", "B": 2})).env == {"A": "x", "B": "2"}
    project.write(".env", "# secret\nA='x y'\nexport B=2\n")
    assert read(project.config(ONE, env=".env")).env == {"A": "x y", "B": "2"}


@pytest.mark.parametrize("limit", ["many", "0", "-1", "1e3", "²"])
def test_an_invalid_default_recursion_limit_is_rejected(project: Project, limit: str) -> None:
    file = project.config(ONE, env={"LANGGRAPH_DEFAULT_RECURSION_LIMIT": limit})
    with pytest.raises(ConfigError, match="LANGGRAPH_DEFAULT_RECURSION_LIMIT: must be a whole number, 1 or more"):
        read(file)
    read(file, {"LANGGRAPH_DEFAULT_RECURSION_LIMIT": "30"})


def test_a_missing_env_file_is_logged_once(project: Project) -> None:
    file = project.config(ONE, env="./.env")
    with capture_logs() as logs:
        assert [read(file).env for _ in range(2)] == [{}, {}]
    assert [line["event"] for line in logs] == ["graphs.env_file_missing"]


@pytest.mark.parametrize(
    ("section", "msgpack_modules", "json_modules"),
    [
        ({}, [], []),
        ({"allowed_msgpack_modules": [["shop.models", "Order"]]}, [["shop.models", "Order"]], []),
        ({"allowed_msgpack_modules": True, "allowed_json_modules": [["shop"]]}, True, [["shop"]]),
        ({"allowed_msgpack_modules": None, "pickle_fallback": True, "other": 1}, False, []),
        ({"allowed_msgpack_modules": False, "allowed_json_modules": True}, False, True),
    ],
)
def test_the_allowlists_of_classes_are_read(
    project: Project, section: Any, msgpack_modules: Any, json_modules: Any
) -> None:
    serde = read(project.config(ONE, checkpointer={"serde": section})).checkpointer.serde
    assert (serde.allowed_msgpack_modules, serde.allowed_json_modules) == (msgpack_modules, json_modules)


@pytest.mark.parametrize("modules", ["shop", ["shop"], [[]], [["shop", 1]], 1])
def test_an_invalid_allowlist_is_rejected(project: Project, modules: Any) -> None:
    with pytest.raises(ConfigError, match=r"checkpointer\.serde\.allowed_msgpack_modules"):
        read(project.config(ONE, checkpointer={"serde": {"allowed_msgpack_modules": modules}}))
