"""A LangChain chat model that stands for a route of models.

It calls the models by their public methods and fires no callbacks of its own, so a trace, LangGraph's streams and the
ceilings see exactly the calls that are made.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import CallbackManagerForLLMRun, Callbacks
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import PrivateAttr

from slipway.model_routes.route_call import RouteCall

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

Step = Callable[[Any], Runnable[LanguageModelInput, Any]]
"""What is called on a model before it is used, such as its `bind_tools`."""


def chat_model(route: str | None = None) -> RoutedChatModel:
    """The chat model of a route: a name in `slipway.models` of langgraph.json, or models such as
    `openai:gpt-5,anthropic:claude-sonnet-5`. Without a name, each call takes the route of the node that makes it: in
    `slipway.graphs.GRAPH.models`, else SLIPWAY_MODEL.

    The route is looked up when the model is called, so this may be used while a module is imported. A call raises
    `slipway.errors.ModelUnavailable` if no model replies, `slipway.errors.ConfigError` if there is no such route, and
    the exception of the provider for a request that every model would reject."""
    return RoutedChatModel(route=route)


class RoutedChatModel(BaseChatModel):
    """See `chat_model`. `bind_tools` and `with_structured_output` apply to each model of the route.

    `astream_events` and `stream_events` with `version="v3"` use the first model of the route only."""

    route: str | None = None
    """The route, or None for that of the node which calls the model."""
    _steps: tuple[Step, ...] = PrivateAttr(default=())

    @property
    def _llm_type(self) -> str:
        return "slipway-route"

    def with_step(self, step: Step) -> RoutedChatModel:
        """This model, whose calls apply `step` to the model that is used."""
        other = RoutedChatModel(route=self.route)
        other._steps = (*self._steps, step)
        return other

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """See `BaseChatModel.bind_tools`."""
        options = kwargs if tool_choice is None else kwargs | {"tool_choice": tool_choice}
        return self.with_step(lambda model: model.bind_tools(tools, **options))

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """See `BaseChatModel.with_structured_output`. A reply that cannot be parsed is a failure, for which the next
        model is used if no part of it was streamed."""
        return RoutedOutput(
            self.with_step(lambda model: model.with_structured_output(schema, include_raw=include_raw, **kwargs))
        )

    def call(self, config: RunnableConfig | None) -> RouteCall:
        """A new call through the route."""
        return RouteCall(self.route, config)

    def prepared(self, model: Any) -> Runnable[LanguageModelInput, Any]:
        """`model` after all steps."""
        for step in self._steps:
            model = step(model)
        prepared: Runnable[LanguageModelInput, Any] = model
        return prepared

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        options = _with_stop(kwargs, stop)
        reply: AIMessage = self.call(config).result_sync(
            lambda model, with_: self.prepared(model).invoke(input, with_, **options)
        )
        return reply

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        options = _with_stop(kwargs, stop)
        return await self.call(config).result(
            lambda model, with_: self.prepared(model).ainvoke(input, with_, **options)
        )

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        options = _with_stop(kwargs, stop)
        yield from self.call(config).parts_sync(
            lambda model, with_: self.prepared(model).stream(input, with_, **options)
        )

    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        options = _with_stop(kwargs, stop)
        parts = self.call(config).parts(lambda model, with_: self.prepared(model).astream(input, with_, **options))
        async for part in parts:
            yield part

    def generate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        options, config = _split(kwargs, callbacks)
        return _results([self.invoke(each, config, stop=stop, **options) for each in messages])

    async def agenerate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        options, config = _split(kwargs, callbacks)
        return _results(await asyncio.gather(*(self.ainvoke(each, config, stop=stop, **options) for each in messages)))

    def stream_events(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        if kwargs.get("version") != "v3":
            return super().stream_events(input, config, **kwargs)
        return self.prepared(self.call(config).first_model_sync()).stream_events(input, config, **kwargs)

    def astream_events(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        if kwargs.get("version") != "v3":
            return super().astream_events(input, config, **kwargs)

        async def opened() -> Any:
            return await self.prepared(await self.call(config).first_model()).astream_events(input, config, **kwargs)

        return opened()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """LangChain requires this method. All methods that would call it are replaced."""
        return ChatResult(generations=[ChatGeneration(message=self.invoke(messages, stop=stop, **kwargs))])


class RoutedOutput(Runnable[LanguageModelInput, Any]):
    """The structured output of the first model of a route that replies."""

    def __init__(self, model: RoutedChatModel) -> None:
        self._model = model

    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return self._model.invoke(input, config, **kwargs)

    async def ainvoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return await self._model.ainvoke(input, config, **kwargs)

    def stream(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        yield from self._model.stream(input, config, **kwargs)

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        async for part in self._model.astream(input, config, **kwargs):
            yield part


def _with_stop(options: dict[str, Any], stop: list[str] | None) -> dict[str, Any]:
    return options if stop is None else options | {"stop": stop}


def _split(options: dict[str, Any], callbacks: Callbacks) -> tuple[dict[str, Any], RunnableConfig]:
    """Separates the members of a config from the options of the model."""
    config: RunnableConfig = {} if callbacks is None else {"callbacks": callbacks}
    for name in ("tags", "metadata", "run_name", "run_id"):
        if (value := options.pop(name, None)) is not None:
            config[name] = value
    return options, config


def _results(messages: Sequence[AIMessage]) -> LLMResult:
    return LLMResult(generations=[[ChatGeneration(message=each)] for each in messages])
