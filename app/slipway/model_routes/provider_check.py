"""Checks that LangChain knows the providers of all models, and that their packages are installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from slipway.errors import ConfigError
from slipway.graphs.langgraph_json import LangGraphJson
from slipway.graphs.models_section import ModelRoute, ModelSpec
from slipway.model_routes.routes import default_route
from slipway.value_problems import did_you_mean


def check_providers(default: str | None, config: LangGraphJson) -> None:
    """Raises `ConfigError` for a model in `default`, which is SLIPWAY_MODEL, or in langgraph.json whose provider is
    misspelt or needs a package that is not installed. Nothing is imported, because that takes seconds."""
    routes = [(where, spec) for where, route in _routes(default, config) for spec in route.models]
    routes = [(where, spec) for where, spec in routes if not spec.is_of_project]
    if not routes:
        return
    packages = _packages(routes[0][0])
    for where, spec in routes:
        if packages and (problem := _problem(spec, packages)):
            raise ConfigError(f"{where}: {problem}")


def _routes(default: str | None, config: LangGraphJson) -> Iterator[tuple[str, ModelRoute]]:
    if (of_setting := default_route(default)) is not None:
        yield "SLIPWAY_MODEL", of_setting
    paths: list[tuple[tuple[str, ...], ModelRoute]] = [
        (("slipway", "models", name), route) for name, route in config.models.routes.items()
    ]
    for graph_id, by_node in config.models.by_graph.items():
        paths += [(("slipway", "graphs", graph_id, "models", node), route) for node, route in by_node.items()]
    for path, route in paths:
        yield f"{config.where(*path)}: {'.'.join(path)}", route


def _packages(where: str) -> Mapping[str, str]:
    """The package of each provider. Empty if this release of LangChain does not say it."""
    if find_spec("langchain") is None:
        raise ConfigError(f"{where}: needs LangChain, which is not installed: pip install langchain")
    try:
        from langchain.chat_models.base import _BUILTIN_PROVIDERS as providers
    except ImportError:
        return {}
    return {name: module.partition(".")[0] for name, (module, *_) in providers.items()}


def _problem(spec: ModelSpec, packages: Mapping[str, str]) -> str | None:
    given = spec.settings.get("model_provider")
    provider = str(given).replace("-", "_").lower() if given else spec.model.partition(":")[0]
    if provider not in packages:
        hint = did_you_mean(provider, sorted(packages))
        return f"{spec.model!r}: LangChain knows no provider {provider!r}{hint} (a model is written as provider:model)"
    package = packages[provider]
    if find_spec(package) is None:
        return f"{spec.model!r} needs a package that is not installed: pip install {package.replace('_', '-')}"
    return None
