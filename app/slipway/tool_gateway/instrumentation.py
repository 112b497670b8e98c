"""Changes functions and LangChain tools in place, so that every call of them passes the gateway.

A function that was imported, stored in a `ToolNode` or wrapped in a LangChain tool is one object with many holders. So
the object itself is changed: its code is replaced by code that calls an `Entrance`, and the entrance calls the gateway
of the current run. The original code lives on in a function that only the entrance holds. What describes the function
(signature, annotations, docstring, file and line) stays as it is.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, Final

from langchain_core.tools import BaseTool, StructuredTool, Tool

from slipway.graphs.function_marks import FUNCTION_MARK
from slipway.tool_gateway.current_call import CURRENT_CALL, CURRENT_GATEWAY

ATTRIBUTE: Final = FUNCTION_MARK
_PLACE: Final = 987_654_321
_GUARDED: Final = "__slipway_guarded__"
"""The attribute of a method of a class that has the function which it replaces."""

_NOT_REGISTERED: Final = (
    "tool {tool!r}: another object of the class {cls} is registered, and not this one: use the registered object, or "
    "name this one in slipway.tools"
)


def _sync_code(*args: Any, **kwargs: Any) -> Any:
    entrance: Any = 987_654_321
    return entrance(*args, **kwargs)


async def _async_code(*args: Any, **kwargs: Any) -> Any:
    entrance: Any = 987_654_321
    return await entrance(*args, **kwargs)


class CannotInstrument(TypeError):
    """An object cannot be a tool. The message says why."""


class Entrance:
    """What a changed function calls in place of its own code. `original` executes that code. `call` and `tool`, the
    name of the tool, are set when the function becomes a tool, and cannot be changed for another."""

    __slots__ = ("call", "function", "is_async", "original", "signature", "tool")

    def __init__(self, original: Callable[..., Any], signature: inspect.Signature) -> None:
        self.original, self.signature = original, signature
        self.tool = ""
        self.function: object = None
        """The changed function."""
        self.is_async = inspect.iscoroutinefunction(original) or inspect.iscoroutinefunction(
            type(original).__dict__.get("__call__")
        )
        self.call: Callable[[tuple[Any, ...], dict[str, Any]], Any] = self._call_original

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(args, kwargs)

    def _call_original(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.original(*args, **kwargs)


def entrance_of(function: object) -> Entrance | None:
    """The entrance of a function that was changed. None if it was not, also for a function that `functools.wraps` has
    given the attributes of another one."""
    found = getattr(function, ATTRIBUTE, None)
    return found if isinstance(found, Entrance) and found.function is function else None


def passes_gateway(tool: BaseTool) -> bool:
    """Whether the functions of a LangChain tool are changed. They may have been replaced since."""
    if "_run" in tool.__dict__ or "_arun" in tool.__dict__:
        return True
    functions = [getattr(tool, name, None) for name in ("func", "coroutine")]
    return all(entrance_of(each) is not None for each in functions if each is not None)


def instrument_function(function: Callable[..., Any]) -> Entrance:
    """Changes a function, once. Raises `CannotInstrument`."""
    existing = entrance_of(function)
    if existing is not None:
        return existing
    if not isinstance(function, types.FunctionType):
        raise CannotInstrument(f"expected a function or a LangChain tool, found a {type(function).__name__}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise CannotInstrument("a generator cannot be a tool, because its calls do not end")
    code, signature = function.__code__, inspect.signature(function)
    original = types.FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    original.__kwdefaults__, original.__annotations__ = function.__kwdefaults__, function.__annotations__
    original.__qualname__, original.__module__ = function.__qualname__, function.__module__
    entrance = Entrance(original, signature)
    template = (_async_code if entrance.is_async else _sync_code).__code__
    function.__code__ = template.replace(
        co_consts=tuple(entrance if constant == _PLACE else constant for constant in template.co_consts),
        co_freevars=code.co_freevars,
        co_filename=code.co_filename,
        co_firstlineno=code.co_firstlineno,
        co_name=code.co_name,
        co_qualname=code.co_qualname,
    )
    function.__defaults__ = function.__kwdefaults__ = None  # the code has no parameters with defaults any more
    function.__signature__ = signature  # type: ignore[attr-defined]
    _mark(function, entrance)
    return entrance


def _mark(function: Callable[..., Any], entrance: Entrance) -> None:
    entrance.function = function
    setattr(function, ATTRIBUTE, entrance)


def instrument_tool(tool: BaseTool) -> tuple[Entrance, ...]:
    """Changes the functions of a LangChain tool, or the methods of an object of a subclass. Raises
    `CannotInstrument`."""
    own = [name for name in ("_run", "_arun") if _class_with(tool, name) not in (BaseTool, StructuredTool, Tool)]
    if not own and isinstance(tool, StructuredTool | Tool):
        functions = [each for each in (tool.func, tool.coroutine) if each is not None]
        if all(isinstance(each, types.FunctionType) for each in functions):
            return tuple(instrument_function(each) for each in functions)
        return tuple(_instrument_member(tool, name) for name in ("func", "coroutine") if getattr(tool, name))
    entrances = tuple(_instrument_member(tool, name) for name in own)
    for name in own:
        _guard(_class_with(tool, name), name)
    return entrances


def _class_with(tool: BaseTool, name: str) -> type:
    """The class that defines the method."""
    return next(each for each in type(tool).__mro__ if name in vars(each))


def _instrument_member(tool: BaseTool, name: str) -> Entrance:
    """Replaces a method, or a callable object that has no code of its own, by a function of this one tool."""
    member = _unguarded(tool, name)
    existing = entrance_of(member)
    if existing is not None:
        return existing
    entrance = Entrance(member, inspect.signature(member))
    replaced = _async_replacement(entrance) if entrance.is_async else _sync_replacement(entrance)
    replaced.__signature__ = entrance.signature  # type: ignore[attr-defined]
    replaced.__annotations__ = dict(getattr(member, "__annotations__", {}))
    replaced.__name__ = name
    _mark(replaced, entrance)
    tool.__dict__[name] = replaced  # pydantic accepts no attribute that is not a field
    return entrance


def _async_replacement(entrance: Entrance) -> Callable[..., Any]:
    async def replaced(*args: Any, **kwargs: Any) -> Any:
        return await entrance(*args, **kwargs)

    return replaced


def _sync_replacement(entrance: Entrance) -> Callable[..., Any]:
    def replaced(*args: Any, **kwargs: Any) -> Any:
        return entrance(*args, **kwargs)

    return replaced


def _unguarded(tool: BaseTool, name: str) -> Any:
    member = getattr(tool, name)
    function = getattr(getattr(member, "__func__", None), _GUARDED, None)
    return member if function is None else types.MethodType(function, tool)


def _guard(owner: type, name: str) -> None:
    """From now on, the method of the class calls the entrance of an object that is a tool, and refuses any other object
    in a run. An object of the class that nobody registered would do the same without a grant."""
    function = vars(owner)[name]
    if hasattr(function, _GUARDED) or not isinstance(function, types.FunctionType):
        return

    def chosen(tool: BaseTool) -> Callable[..., Any]:
        replaced: Callable[..., Any] | None = tool.__dict__.get(name)
        entrance, gateway, call = entrance_of(replaced), CURRENT_GATEWAY.get(), CURRENT_CALL.get()
        if entrance is None or replaced is None:
            if gateway is not None:
                gateway.refuse(tool.name, None, _NOT_REGISTERED.format(tool=tool.name, cls=type(tool).__name__))
        elif call is None or call.tool.name != entrance.tool:
            return replaced
        return types.MethodType(function, tool)  # `super()` in the method of a tool that is executed

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def guarded(self: BaseTool, *args: Any, **kwargs: Any) -> Any:
            return await chosen(self)(*args, **kwargs)
    else:

        @functools.wraps(function)
        def guarded(self: BaseTool, *args: Any, **kwargs: Any) -> Any:
            return chosen(self)(*args, **kwargs)

    setattr(guarded, _GUARDED, function)
    setattr(owner, name, guarded)
