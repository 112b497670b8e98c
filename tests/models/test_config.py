"""The model routes of langgraph.json and of the settings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import ConfigError
from slipway.graphs.langgraph_json import read
from slipway.graphs.models_section import ModelSpec
from slipway.graphs.registry import Registry
from slipway.health.release_checks import project_problems
from slipway.model_routes.current_routes import current_routes
from slipway.model_routes.node_check import check_nodes
from slipway.model_routes.provider_check import check_providers
from slipway.services import open_services
from slipway.settings import Settings


def written(folder: Path, **slipway: Any) -> Path:
    file = folder / "langgraph.json"
    file.write_text(json.dumps({"graphs": {"desk": "./desk.py:graph"}, "slipway": slipway}))
    return file


def test_a_route_is_written_in_four_ways(tmp_path: Path) -> None:
    model = {"model": "./fakes.py:local", "timeout_s": 5, "settings": {"temperature": 0}}
    routes = {"one": "a:b", "two": ["a:b", model], "three": {"models": ["a:b", model], "timeout_s": 9}}
    config = read(
        written(tmp_path, models=routes, graphs={"desk": {"models": {"draft": "two", "*": "c:d,e:f"}}})
    ).models
    local = ModelSpec("./fakes.py:local", 5, {"temperature": 0})
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
        routes, spec = current_routes().routes, ModelSpec("./fakes.py:created", settings={"a": 1})
        model = await routes.open(spec)
        assert (await model.ainvoke("Hi")).text == "{'a': 1}"
        assert await routes.open(ModelSpec("./fakes.py:created", 3, {"a": 1})) is model
        with pytest.raises(ConfigError, match="must be a LangChain chat model"):
            await routes.open(ModelSpec("./fakes.py:ProviderError", settings={"status": 1}))


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


@pytest.mark.parametrize(
    ("models", "problem"),
    [
        ("openai:gpt-5,,anthropic:claude", "a model between two commas, or at an end, has no name: remove the comma"),
        ("openai:gpt-5,", "a model between two commas, or at an end, has no name"),
        (",", "a model between two commas, or at an end, has no name"),
        ("openai: gpt-5", "'openai: gpt-5' has a space: write 'openai:gpt-5', and commas between models"),
        ("openai:gpt-5 anthropic:claude", "has a space: .* and commas between models"),
        ("openai:gpt-5, openai:gpt-5", "names 'openai:gpt-5' twice: a model is tried once, so remove one of them"),
        ("gpt-5", "'gpt-5' is not written as provider:model, such as openai:gpt-5"),
        ("openai:", "'openai:' is not written as provider:model"),
        ("opnai:gpt-5", "'opnai:gpt-5': LangChain knows no provider 'opnai'; did you mean 'openai'"),
        ("groq:llama", "'groq:llama' needs a package that is not installed: pip install langchain-groq"),
    ],
)
async def test_wrong_models_stop_a_process_and_a_release(
    settings: Settings, graphs: Registry, tmp_path: Path, models: str, problem: str
) -> None:
    wrong = settings.model_copy(update={"model": models})
    with pytest.raises(ConfigError, match=f"^SLIPWAY_MODEL: .*{problem}"):
        async with open_services(wrong, graphs, "worker"):
            pass
    (found,) = await project_problems(read(settings.config), graphs, models)
    assert re.match(f"SLIPWAY_MODEL: .*{problem}", found)
    if ":" in models:
        with pytest.raises(ConfigError, match=rf"langgraph\.json:1: slipway\.models\.one: .*{problem}"):
            check_providers(None, read(written(tmp_path, models={"one": models})))


async def test_models_of_installed_providers_and_of_the_project_are_accepted(tmp_path: Path) -> None:
    routes = {
        "one": "openai:gpt-5,anthropic:claude-sonnet-5,./my models.py:local",
        "two": [
            {"model": "openai:gpt-5", "settings": {"temperature": 0}},
            {"model": "openai:gpt-5", "settings": {"temperature": 1}},
            {"model": "llama3:8b", "settings": {"model_provider": "azure-openai"}},
        ],
    }
    check_providers(" openai:gpt-5 , anthropic:claude-sonnet-5 ", read(written(tmp_path, models=routes)))
    check_providers(None, read(written(tmp_path)))
