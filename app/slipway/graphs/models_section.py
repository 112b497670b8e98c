"""The members of `slipway` in `langgraph.json` that name model routes: which models are tried, in which order.

    "models": {"cheap": ["openai:gpt-5-mini", {"model": "./models.py:local", "timeout_s": 20}]},
    "graphs": {"desk": {"models": {"*": "cheap", "draft": ["openai:gpt-5", "anthropic:claude-sonnet-5"]}}}

A route is written as the name of a route in `slipway.models`, as one model, as a list of models, or as an object with
the member `models`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import Discriminator, Field, Tag

from slipway.graphs.config_errors import at_line, reject
from slipway.graphs.project_objects import Text
from slipway.graphs.strict_section import PositiveNumber, StrictSection
from slipway.value_problems import did_you_mean

EVERY_NODE: Final = "*"
"""Stands for all nodes of a graph that have no route of their own."""


class ModelSection(StrictSection):
    """One model of a route, in its long form."""

    model: Text
    """Such as `openai:gpt-5`, or `./file.py:attribute` for a chat model of the project, or a function that creates
    it."""
    timeout_s: PositiveNumber | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    """What LangChain's `init_chat_model` gets in addition, such as `temperature`."""


def _tag(value: object) -> str:
    return "<text>" if isinstance(value, str) else "<list>" if isinstance(value, list) else "<object>"


ModelOrText = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[ModelSection, Tag("<object>")],
    Discriminator(lambda value: "<text>" if isinstance(value, str) else "<object>"),
]

Models = Annotated[list[ModelOrText], Field(min_length=1)]


class RouteSection(StrictSection):
    """A route in its long form. `timeout_s` holds for models without one of their own."""

    models: Models
    timeout_s: PositiveNumber | None = None


RouteOrModels = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[Models, Tag("<list>")] | Annotated[RouteSection, Tag("<object>")],
    Discriminator(_tag),
]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model of a route."""

    model: str
    """As it is written in the route. It is also the name of the model's circuit breaker."""
    timeout_s: float | None = None
    """Seconds without any part of a reply after which the next model is tried. None means the setting
    `model_timeout_s`."""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_of_project(self) -> bool:
        """Whether it names an object of the project."""
        return self.model.startswith((".", "/")) or ".py:" in self.model


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """The models that are tried, in this order."""

    name: str
    """The name in `slipway.models`, or the models separated by commas."""
    models: Sequence[ModelSpec]


@dataclass(frozen=True, slots=True)
class ModelsConfig:
    """All routes of langgraph.json."""

    routes: Mapping[str, ModelRoute] = field(default_factory=dict)
    by_graph: Mapping[str, Mapping[str, ModelRoute]] = field(default_factory=dict)
    """By graph and node; the node `EVERY_NODE` stands for all others."""


def models_of_text(text: str) -> ModelRoute:
    """The route of a text such as `openai:gpt-5,anthropic:claude-sonnet-5`. Raises `ValueError` for a text that is
    none, with what to write instead."""
    models = _checked([ModelSpec(part.strip()) for part in text.split(",")])
    return ModelRoute(",".join(each.model for each in models), models)


def _checked(models: Sequence[ModelSpec]) -> Sequence[ModelSpec]:
    """The models. Raises `ValueError` for a wrong name, and for a model that is named twice."""
    for index, each in enumerate(models):
        _check_name(each)
        if each in models[:index]:
            raise ValueError(f"names {each.model!r} twice: a model is tried once, so remove one of them")
    return models


def _check_name(spec: ModelSpec) -> None:
    name = spec.model
    if not name.strip():
        raise ValueError("a model between two commas, or at an end, has no name: remove the comma")
    if spec.is_of_project:
        return
    if name != "".join(name.split()):
        raise ValueError(f"{name!r} has a space: write {''.join(name.split())!r}, and commas between models")
    provider, _, model = name.partition(":")
    if not spec.settings.get("model_provider") and (not provider or not model):
        raise ValueError(f"{name!r} is not written as provider:model, such as openai:gpt-5")


def models_config(
    file: str, text: str, routes: Mapping[str, RouteOrModels], by_graph: Mapping[str, Mapping[str, RouteOrModels]]
) -> ModelsConfig:
    """Resolves the names of routes. Raises `ConfigError` for an unknown name, with its line in `text`."""
    named = {
        name: _route(at_line(file, text, ("slipway", "models", name)), f"slipway.models.{name}", route, {}, name)
        for name, route in routes.items()
    }
    of_graphs = {
        graph_id: {
            node: _route(
                at_line(file, text, ("slipway", "graphs", graph_id, "models", node)),
                f"slipway.graphs.{graph_id}.models.{node}",
                route,
                named,
            )
            for node, route in by_node.items()
        }
        for graph_id, by_node in by_graph.items()
        if by_node
    }
    return ModelsConfig(named, of_graphs)


def _route(
    file: str, path: str, route: RouteOrModels, named: Mapping[str, ModelRoute], name: str | None = None
) -> ModelRoute:
    if isinstance(route, str) and route in named:
        return named[route]
    if isinstance(route, str) and ":" not in route:
        reject(file, path, unknown_route(route, named))
    try:
        if isinstance(route, str):
            found = models_of_text(route)
            return found if name is None else ModelRoute(name, found.models)
        section = RouteSection(models=route) if isinstance(route, list) else route
        models = _checked([_model(each, section.timeout_s) for each in section.models])
    except ValueError as error:
        reject(file, path, str(error))
    return ModelRoute(name or ",".join(each.model for each in models), models)


def unknown_route(name: str, named: Mapping[str, ModelRoute]) -> str:
    """What is wrong with the name of a route that does not exist."""
    hint = did_you_mean(name, named) or "; add it to slipway.models in langgraph.json"
    return f"unknown model route {name!r}{hint} (a model is written as provider:model)"


def _model(model: ModelOrText, timeout_s: float | None) -> ModelSpec:
    if isinstance(model, str):
        return ModelSpec(model, timeout_s)
    return ModelSpec(model.model, model.timeout_s or timeout_s, model.settings)
