"""The model routes of langgraph.json and of the settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import ConfigError
from slipway.graphs.langgraph_json import read
from slipway.graphs.models_section import ModelSpec
from slipway.graphs.registry import Registry
from slipway.model_routes.current_routes import current_routes
from slipway.model_routes.node_check import check_nodes
from slipway.services import open_services
from slipway.settings import Settings


def written(folder: Path, **slipway: Any) -> Path:
    file = folder / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"desk": "./desk.py:graph"}, "slipway": slipway}))
    return file


def test_a_route_is_written_in_four_ways(tmp_path: Path) -> None:
    model = {"model": "./models.py:local", "timeout_s": 5, "settings": {"temperature": 0}}
    routes = {"one": "a:b", "two": ["a:b", model], "three": {"models": ["a:b", model], "timeout_s": 9}}
    config = read(
        written(tmp_path, models=routes, graphs={"desk": {"models": {"draft": "two", "*": "c:d,e:f"}}})
    ).models
    local = ModelSpec("./models.py:local", 5, {"temperature": 0})
    assert {name: list(route.models) for name, route in config.routes.items()} == {
        "one": [ModelSpec("a:b")],
        "two": [ModelSpec("a:b"), local],
        "three": [ModelSpec("a:b", 9), local],
    }
    assert config.by_graph["desk"]["draft"] is config.routes["two"]
    assert [each.model for each in config.by_graph["desk"]["*"].models] == ["c:d", "e:f"]


@pytest.mark.parametrize(
    ("slipway", "problem"),
    [
        ({"models": {"cheap": []}}, r"slipway\.models\.cheap: "),
        ({"models": {"cheap": ["a:b"]}, "graphs": {"desk": {"models": {"*": "cheep"}}}}, "did you mean 'cheap'"),
        ({"models": {"cheap": "gpt"}}, "unknown model route 'gpt'; add it to slipway.models in langgraph.json"),
        ({"models": {"cheap": [{"model": "a:b", "timeout": 5}]}}, r"slipway\.models\.cheap\[0\]\.timeout: unknown key"),
        ({"models": {"cheap": {"models": ["a:b"], "timeout_s": 0}}}, r"timeout_s: expected a number above 0, found 0"),
        ({"models": {"cheap": 7}}, r"slipway\.models\.cheap: expected an object, found a number"),
    ],
    ids=["empty", "misspelt", "no model", "unknown key", "no time", "number"],
)
def test_a_wrong_route_is_one_line(tmp_path: Path, slipway: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as raised:
        read(written(tmp_path, **slipway))
    assert "\n" not in str(raised.value)


async def test_the_setting_is_the_time_limit_of_models_without_one(settings: Settings, graphs: Registry) -> None:
    limited = settings.model_copy(update={"model_timeout_s": 7.0})
    async with open_services(limited, graphs, "worker"):
        assert current_routes().routes.timeout_s == 7


async def test_a_model_of_the_project_is_created_once_with_its_settings(settings: Settings, graphs: Registry) -> None:
    async with open_services(settings, graphs, "worker"):
        routes, spec = current_routes().routes, ModelSpec("./models.py:created", settings={"a": 1})
        model = await routes.open(spec)
        assert (await model.ainvoke("Hi")).text == "{'a': 1}"
        assert await routes.open(ModelSpec("./models.py:created", 3, {"a": 1})) is model
        with pytest.raises(ConfigError, match="must be a LangChain chat model"):
            await routes.open(ModelSpec("./models.py:ProviderError", settings={"status": 1}))


async def test_a_route_of_an_unknown_node_is_an_error_with_its_line(graphs: Registry, tmp_path: Path) -> None:
    routes: dict[str, Any] = {"agent": {"models": {"model": "a:b", "*": "a:b"}}, "fails": {"models": {"aks": "a:b"}}}
    file = written(tmp_path, graphs=routes)
    document = json.loads(file.read_text()) | {"graphs": dict.fromkeys(("agent", "fails"), "./graphs.py:agent")}
    file.write_text(json.dumps(document, indent=2))
    problem = (
        r"^langgraph\.json:\d+: slipway\.graphs\.fails\.models\.aks: the graph has no such node; did you mean 'ask'\?"
    )
    with pytest.raises(ConfigError, match=problem):
        await check_nodes(read(file), graphs)
