"""How the object that langgraph.json names becomes a compiled graph.

| object | what happens |
|---|---|
| a compiled graph | used as it is |
| a `StateGraph` | compiled once, when loaded |
| `def` that returns either | called in a thread for each run and read, because it may block |
| `async def` | called on the event loop |
| a context manager function, sync or async, or a generator function | entered and left around each run and read |

Parameters of a function are recognised by annotation, then by name: `config: RunnableConfig` (of the assistant) and
`runtime: ServerRuntime`. A single parameter that is neither gets the config, as older projects expect. A config always
has `configurable`, which may be empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypeVar, cast

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from langgraph_sdk.auth.types import BaseUser
from langgraph_sdk.runtime import ServerRuntime, _ExecutionRuntime, _ReadRuntime

from slipway.errors import GraphUnavailable, SlipwayError
from slipway.exception_text import class_name, is_a, message_of, repr_of, traceback_of
from slipway.graphs.annotations import hints_of, is_record
from slipway.graphs.run_context import context_instance
from slipway.graphs.served_graphs import AccessContext, Graph

T = TypeVar("T")
Role = Literal["config", "runtime"]
Runtime: TypeAlias = "_ExecutionRuntime[Any] | _ReadRuntime[Any]"

_RUNTIMES = (ServerRuntime, _ExecutionRuntime, _ReadRuntime)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class NotAGraph(Exception):
    """The object of langgraph.json, or the result of a factory, is not a graph; the message is the reason."""


@dataclasses.dataclass(frozen=True, slots=True)
class FactoryCall:
    """What a factory is called with."""

    config: RunnableConfig
    access: AccessContext
    context: Mapping[str, Any] | None
    store: BaseStore | None


def compile_graph(thing: object) -> Graph | None:
    """Compiles a builder, which takes milliseconds. Returns a compiled graph unchanged, and None for anything else."""
    if isinstance(thing, Pregel):
        return thing
    return thing.compile() if isinstance(thing, StateGraph) else None


def factory_of(thing: object) -> Factory:
    """Raises `NotAGraph` when `thing` cannot be called, or has parameters that are neither config nor runtime."""
    if not callable(thing) or isinstance(thing, type):
        what = f"the class {thing.__name__}" if isinstance(thing, type) else f"of type {type(thing).__name__}"
        raise NotAGraph(f"it is {what}; expected a compiled graph, a StateGraph, or a function that returns one")
    return Factory(thing)


class Factory:
    """A function of the project that returns graphs."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._stays_on_loop = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(
            inspect.unwrap(function)
        )
        self._parameters, self._context_type = _parameters(function)
        if inspect.isasyncgenfunction(function):
            function = contextlib.asynccontextmanager(function)
        elif inspect.isgeneratorfunction(function):
            function = contextlib.contextmanager(function)
        self._function = function

    def open(
        self, graph_id: str, call: FactoryCall, on_graph: Callable[[Graph], None]
    ) -> AbstractAsyncContextManager[Graph]:
        """The graph while the factory holds it open; `on_graph` is called with it first.

        Entering raises `GraphUnavailable` when the factory fails, and the error of the context's class when the run's
        context does not match it.
        """
        return _FactoryContext(graph_id, self, call, on_graph)

    def arguments(self, call: FactoryCall) -> dict[Role, object]:
        """The arguments by role. Raises the error of the context's class."""
        given: dict[Role, object] = {"config": {"configurable": {}} | call.config}
        if "runtime" in (role for _, role, _ in self._parameters):
            given["runtime"] = self._runtime(call)
        return given

    async def product(self, given: Mapping[Role, object], context: contextvars.Context) -> object:
        """The result of the function, awaited if it is awaitable."""
        args = [given[role] for _, role, positional in self._parameters if positional]
        kwargs = {name: given[role] for name, role, positional in self._parameters if not positional}
        if self._stays_on_loop:
            made = self._function(*args, **kwargs)
        else:
            made = await _in_thread(context, lambda: self._function(*args, **kwargs))
        return await made if inspect.isawaitable(made) else made

    def _runtime(self, call: FactoryCall) -> Runtime:
        user = (call.config.get("configurable") or {}).get("langgraph_auth_user")
        known = user if isinstance(user, BaseUser) else None
        store = cast(BaseStore, call.store)
        if call.access != "threads.create_run":
            return _ReadRuntime(access_context=call.access, user=known, store=store)
        return _ExecutionRuntime(access_context=call.access, user=known, store=store, context=self._context(call))

    def _context(self, call: FactoryCall) -> Any:
        """The run's context as an instance of the class in the annotation `ServerRuntime[Class]`."""
        return context_instance(self._context_type, call.context or {})


class _FactoryContext(AbstractAsyncContextManager[Graph]):
    """One graph of a factory. Never suppresses an exception of the body, even if the project's context manager does."""

    def __init__(self, graph_id: str, factory: Factory, call: FactoryCall, on_graph: Callable[[Graph], None]) -> None:
        self._graph_id, self._factory, self._call, self._on_graph = graph_id, factory, call, on_graph
        self._context = contextvars.copy_context()
        self._manager: AbstractContextManager[object] | AbstractAsyncContextManager[object] | None = None

    async def __aenter__(self) -> Graph:
        given = self._factory.arguments(self._call)
        try:
            graph = await self._graph(given)
            self._on_graph(graph)
            return graph
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            if is_a(error, (SlipwayError, asyncio.CancelledError)):
                raise
            log.error("graph.factory_failed", graph=self._graph_id, exception=traceback_of(error))
            text = message_of(error) if is_a(error, NotAGraph) else f"{class_name(error)}; the server's log has details"
            raise GraphUnavailable(f"the factory of graph {self._graph_id!r} failed: {text}") from error

    async def _graph(self, given: Mapping[Role, object]) -> Graph:
        made = await self._factory.product(given, self._context)
        if hasattr(made, "__aenter__") or hasattr(made, "__enter__"):
            manager = cast("AbstractContextManager[object] | AbstractAsyncContextManager[object]", made)
            made = await self._enter(manager)
            self._manager = manager
        graph = made if isinstance(made, Pregel) else await _in_thread(self._context, lambda: compile_graph(made))
        if graph is None:
            raise NotAGraph(f"it returned something of type {type(made).__name__}; expected a graph or a StateGraph")
        return graph

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        manager = self._manager
        if manager is None:
            return
        try:
            if isinstance(manager, AbstractAsyncContextManager):
                await manager.__aexit__(kind, error, trace)
            else:
                await _in_thread(self._context, lambda: manager.__exit__(kind, error, trace))
        except BaseException as failed:
            if is_a(failed, asyncio.CancelledError):
                raise
            if failed is not error:
                log.warning("graph.cleanup_failed", graph=self._graph_id, error=repr_of(failed))

    async def _enter(self, manager: AbstractContextManager[object] | AbstractAsyncContextManager[object]) -> object:
        if isinstance(manager, AbstractAsyncContextManager):
            return await manager.__aenter__()
        return await _in_thread(self._context, manager.__enter__)


async def _in_thread(context: contextvars.Context, work: Callable[[], T]) -> T:
    """Runs `work` off the event loop and always in the same context, so that a context manager can reset on leaving
    what it set on entering."""
    return await asyncio.get_running_loop().run_in_executor(None, context.run, work)


def _parameters(function: Callable[..., object]) -> tuple[list[tuple[str, Role, bool]], type | None]:
    """(name, role, whether positional) of each parameter that gets an argument, and the class in `ServerRuntime[…]`."""
    hints = hints_of(_annotated_part(function))
    wanted = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    ]
    filled: list[tuple[str, Role, bool]] = []
    context_type: type | None = None
    for parameter in wanted:
        annotation = hints.get(parameter.name)
        role = _role(parameter.name, annotation)
        if role is None and parameter.default is not parameter.empty:
            continue
        if role is None and len(wanted) == 1:
            role = "config"
        if role is None:
            raise NotAGraph(
                f"its parameter {parameter.name!r} is neither `config: RunnableConfig` nor `runtime: ServerRuntime`"
            )
        filled.append((parameter.name, role, parameter.kind is parameter.POSITIONAL_ONLY))
        context_type = context_type or (_context_type(annotation) if role == "runtime" else None)
    return filled, context_type


def _annotated_part(function: Callable[..., object]) -> object:
    """The function with the annotations, below partials and decorators."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.unwrap(function) if inspect.isroutine(function) else type(function).__call__


def _role(name: str, annotation: object) -> Role | None:
    said = {annotation, typing.get_origin(annotation), *typing.get_args(annotation)} if annotation else set()
    text = annotation if isinstance(annotation, str) else ""
    if RunnableConfig in said or "RunnableConfig" in text:
        return "config"
    if said.intersection(_RUNTIMES) or "ServerRuntime" in text:
        return "runtime"
    return cast(Role, name) if name in ("config", "runtime") else None


def _context_type(annotation: object) -> type | None:
    args = typing.get_args(annotation)
    return cast(type, args[0]) if len(args) == 1 and is_record(args[0]) else None
