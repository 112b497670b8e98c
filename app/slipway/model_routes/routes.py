"""The model routes of a process: which route a call takes, and the models, which are created once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slipway.errors import ConfigError
from slipway.graphs.models_section import (
    EVERY_NODE,
    ModelRoute,
    ModelsConfig,
    ModelSpec,
    models_of_text,
    unknown_route,
)
from slipway.redis.keys import Keys
from slipway.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

DEFAULT_TIMEOUT_S = float(Settings.model_fields["model_timeout_s"].default)


class ModelRoutes:
    """`default` is SLIPWAY_MODEL, the route of calls that name none. `keys` is None outside of a process of Slipway.
    Raises `ConfigError` if `default` names no models."""

    def __init__(
        self,
        default: str | None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        config: ModelsConfig | None = None,
        load_object: Callable[[str], object] | None = None,
        keys: Keys | None = None,
    ) -> None:
        self._default = default_route(default)
        self._config, self._load_object = config or ModelsConfig(), load_object
        self.timeout_s, self.keys = timeout_s, keys
        self._models: dict[str, BaseChatModel] = {}

    @classmethod
    def from_environment(cls) -> ModelRoutes:
        """The routes outside of a process of Slipway, as in a test of a graph: only SLIPWAY_MODEL is known."""
        return cls(os.environ.get("SLIPWAY_MODEL"))

    def find(self, name: str | None, graph_id: str | None = None, nodes: Sequence[str] = ()) -> ModelRoute | None:
        """The route `name`: of `slipway.models`, or models separated by commas. Without a name, the route of the
        innermost of `nodes` that has one, else that of the graph, else the default. None if there is none.

        Raises `ConfigError` for a name that is no route and names no models."""
        if name is not None:
            if (route := self._config.routes.get(name)) is not None:
                return route
            if ":" not in name:
                raise ConfigError(unknown_route(name, self._config.routes))
            return _named_in(f"chat_model({name!r})", name)
        by_node: Mapping[str, ModelRoute] = self._config.by_graph.get(graph_id or "", {})
        for node in (*reversed(nodes), EVERY_NODE):
            if node in by_node:
                return by_node[node]
        return self._default

    async def open(self, spec: ModelSpec) -> BaseChatModel:
        """The model. Raises what creating it raises, such as `ImportError`."""
        model = self._models.get(_key(spec))
        return model if model is not None else await asyncio.to_thread(self.open_sync, spec)

    def open_sync(self, spec: ModelSpec) -> BaseChatModel:
        """The same, and blocks while the provider's package is imported."""
        key = _key(spec)
        model = self._models.get(key)
        if model is None:
            model = self._models[key] = self._created(spec)
        return model

    def _created(self, spec: ModelSpec) -> BaseChatModel:
        if spec.is_of_project:
            return self._of_project(spec)
        try:
            from langchain.chat_models import init_chat_model
        except ImportError as error:
            raise ImportError(
                f"the model {spec.model!r} needs LangChain, which is not installed: pip install langchain"
            ) from error
        model: BaseChatModel = init_chat_model(spec.model, **spec.settings)
        if getattr(model, "stream_usage", False) is None:
            # OpenAI's package does not ask for the tokens of a stream at an address of one's own, because some servers
            # do not know the request; without them each streamed call would count with all that it may use
            model.stream_usage = True  # type: ignore[attr-defined]
        return model

    def _of_project(self, spec: ModelSpec) -> BaseChatModel:
        from langchain_core.language_models import BaseChatModel

        if self._load_object is None:
            raise ConfigError(
                f"the model {spec.model!r} is an object of a project, which only Slipway's processes load"
            )
        found: Any = self._load_object(spec.model)
        model = found if isinstance(found, BaseChatModel) else found(**spec.settings) if callable(found) else found
        if not isinstance(model, BaseChatModel):
            raise ConfigError(
                f"{spec.model} must be a LangChain chat model or a function that returns one, found an object of type "
                f"{type(model).__name__}"
            )
        return model


def default_route(model: str | None) -> ModelRoute | None:
    """The route of SLIPWAY_MODEL, None if it is not set. Raises `ConfigError` if it names no models."""
    return _named_in("SLIPWAY_MODEL", model) if model and model.strip() else None


def _named_in(where: str, text: str) -> ModelRoute:
    try:
        return models_of_text(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def _key(spec: ModelSpec) -> str:
    return repr((spec.model, sorted(spec.settings.items(), key=lambda each: each[0])))
