"""How the object that langgraph.json names becomes a compiled graph.

| object | what happens |
|---|---|
| a compiled graph | used unchanged |
| a `StateGraph` | compiled once, when it is loaded |
| a `def` function that returns one of these | called for each run and state read, in a thread, as it may block |
| an `async def` function that returns one of these | called for each run and state read, on the event loop |
| a function with `yield`, or one that returns a context manager | entered before each run and state read, then exited |

The parameters of a function are recognised by annotation, then by name: `config: RunnableConfig` (of the assistant) and
`runtime: ServerRuntime`. If the only parameter is neither, it gets the config, as older projects expect. A config
always has the member `configurable`, which may be empty.
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
from slipway.graphs.interface import AccessContext, Graph
from slipway.graphs.run_context import context_instance

T = TypeVar("T")
Role = Literal["config", "runtime"]
Runtime: TypeAlias = "_ExecutionRuntime[Any] | _ReadRuntime[Any]"

_RUNTIMES = (ServerRuntime, _ExecutionRuntime, _ReadRuntime)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class NotAGraph(Exception):
    """The object that langgraph.json names, or the result of a factory, is not a graph. The message is the reason."""


@dataclasses.dataclass(frozen=True, slots=True)
class FactoryCall:
    """What a factory is called with. `access` is why the graph is opened."""

    config: RunnableConfig
    access: AccessContext
    context: Mapping[str, Any] | None
    store: BaseStore | None
    logged: bool = True
    """Whether a failure is logged."""


def compile_graph(target: object) -> Graph | None:
    """Compiles a `StateGraph`, which takes milliseconds. A compiled graph is returned unchanged; None for any other
    object."""
    if isinstance(target, Pregel):
        return target
    return target.compile() if isinstance(target, StateGraph) else None


def factory_of(target: object) -> Factory:
    """Raises `NotAGraph` if `target` is not a function, or has a parameter that is neither config nor runtime."""
    if not callable(target) or isinstance(target, type):
        found = f"the class {target.__name__}" if isinstance(target, type) else f"of type {type(target).__name__}"
        raise NotAGraph(f"it is {found}; expected a compiled graph, a StateGraph, or a function that returns one")
    return Factory(target)


class Factory:
    """A function of the project that returns graphs."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._runs_on_event_loop = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(
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
        """A context manager of one graph of the factory. `on_graph` is called with the graph before it is returned.

        Entering raises `GraphUnavailable` if the factory fails. If the run's context does not fit the class that the
        factory declares for it, entering raises the error of that class.
        """
        return _FactoryContext(graph_id, self, call, on_graph)

    def arguments(self, call: FactoryCall) -> dict[Role, object]:
        """The arguments by role. Raises the error of the context's class if the run's context does not fit it."""
        arguments: dict[Role, object] = {"config": {"configurable": {}} | call.config}
        if "runtime" in (role for _, role, _ in self._parameters):
            arguments["runtime"] = self._runtime(call)
        return arguments

    async def call(self, arguments: Mapping[Role, object], context: contextvars.Context) -> object:
        """The result of the function, awaited if it is awaitable."""
        args = [arguments[role] for _, role, positional in self._parameters if positional]
        kwargs = {name: arguments[role] for name, role, positional in self._parameters if not positional}
        if self._runs_on_event_loop:
            result = self._function(*args, **kwargs)
        else:
            result = await _in_thread(context, lambda: self._function(*args, **kwargs))
        return await result if inspect.isawaitable(result) else result

    def _runtime(self, call: FactoryCall) -> Runtime:
        user = (call.config.get("configurable") or {}).get("langgraph_auth_user")
        base_user = user if isinstance(user, BaseUser) else None
        store = cast(BaseStore, call.store)
        if call.access != "threads.create_run":
            return _ReadRuntime(access_context=call.access, user=base_user, store=store)
        return _ExecutionRuntime(access_context=call.access, user=base_user, store=store, context=self._context(call))

    def _context(self, call: FactoryCall) -> Any:
        """The run's context as an instance of the class in the annotation `ServerRuntime[Class]`."""
        return context_instance(self._context_type, call.context or {})


class _FactoryContext(AbstractAsyncContextManager[Graph]):
    """One graph of a factory. It never suppresses an exception of the `with` block, even if the project's context
    manager does."""

    def __init__(self, graph_id: str, factory: Factory, call: FactoryCall, on_graph: Callable[[Graph], None]) -> None:
        self._graph_id, self._factory, self._call, self._on_graph = graph_id, factory, call, on_graph
        self._context = contextvars.copy_context()
        self._manager: AbstractContextManager[object] | AbstractAsyncContextManager[object] | None = None

    async def __aenter__(self) -> Graph:
        arguments = self._factory.arguments(self._call)
        try:
            graph = await self._graph(arguments)
            self._on_graph(graph)
            return graph
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            if is_a(error, (SlipwayError, asyncio.CancelledError)):
                raise
            if self._call.logged:
                log.error("graph.factory_failed", graph=self._graph_id, exception=traceback_of(error))
            text = message_of(error) if is_a(error, NotAGraph) else f"{class_name(error)}; the server's log has details"
            raise GraphUnavailable(f"the factory of graph {self._graph_id!r} failed: {text}") from error

    async def _graph(self, arguments: Mapping[Role, object]) -> Graph:
        result = await self._factory.call(arguments, self._context)
        if hasattr(result, "__aenter__") or hasattr(result, "__enter__"):
            manager = cast("AbstractContextManager[object] | AbstractAsyncContextManager[object]", result)
            result = await self._enter(manager)
            self._manager = manager
        graph = result if isinstance(result, Pregel) else await _in_thread(self._context, lambda: compile_graph(result))
        if graph is None:
            raise NotAGraph(f"it returned an object of type {type(result).__name__}; expected a graph or a StateGraph")
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
                log.warning("graph.cleanup_failed", graph=self._graph_id, problem=repr_of(failed))

    async def _enter(self, manager: AbstractContextManager[object] | AbstractAsyncContextManager[object]) -> object:
        if isinstance(manager, AbstractAsyncContextManager):
            return await manager.__aenter__()
        return await _in_thread(self._context, manager.__enter__)


async def _in_thread(context: contextvars.Context, work: Callable[[], T]) -> T:
    """Calls `work` in a thread, with these context variables. All calls for one graph use the same ones, so that a
    context manager can reset on exit a variable that it set on entry."""
    return await asyncio.get_running_loop().run_in_executor(None, context.run, work)


def _parameters(function: Callable[..., object]) -> tuple[list[tuple[str, Role, bool]], type | None]:
    """The parameters that get an argument, each as name, role and whether it is positional only; and the class in the
    annotation `ServerRuntime[Class]`."""
    hints = hints_of(_annotated_function(function))
    declared = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    ]
    filled: list[tuple[str, Role, bool]] = []
    context_type: type | None = None
    for parameter in declared:
        annotation = hints.get(parameter.name)
        role = _role(parameter.name, annotation)
        if role is None and parameter.default is not parameter.empty:
            continue
        if role is None and len(declared) == 1:
            role = "config"
        if role is None:
            raise NotAGraph(
                f"its parameter {parameter.name!r} is neither `config: RunnableConfig` nor `runtime: ServerRuntime`"
            )
        filled.append((parameter.name, role, parameter.kind is parameter.POSITIONAL_ONLY))
        context_type = context_type or (_context_type(annotation) if role == "runtime" else None)
    return filled, context_type


def _annotated_function(function: Callable[..., object]) -> object:
    """The function that has the annotations, without the partials and decorators around it."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.unwrap(function) if inspect.isroutine(function) else type(function).__call__


def _role(name: str, annotation: object) -> Role | None:
    types = {annotation, typing.get_origin(annotation), *typing.get_args(annotation)} if annotation else set()
    text = annotation if isinstance(annotation, str) else ""
    if RunnableConfig in types or "RunnableConfig" in text:
        return "config"
    if types.intersection(_RUNTIMES) or "ServerRuntime" in text:
        return "runtime"
    return cast(Role, name) if name in ("config", "runtime") else None


def _context_type(annotation: object) -> type | None:
    args = typing.get_args(annotation)
    return cast(type, args[0]) if len(args) == 1 and is_record(args[0]) else None
