"""Changes functions and LangChain tools in place, so that every call of them passes the gateway.

A function that was imported, stored in a `ToolNode` or wrapped in a LangChain tool is one object with many holders. So
the object itself is changed: its code is replaced by code that calls an `Entrance`, and the entrance calls the gateway
of the current run. The original code lives on in a function that only the entrance holds. What describes the function
(signature, annotations, docstring, file and line) stays as it is.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any, Final

from langchain_core.tools import BaseTool, StructuredTool, Tool

ATTRIBUTE: Final = "__slipway_entrance__"
_PLACE: Final = 987_654_321


def _sync_code(*args: Any, **kwargs: Any) -> Any:
    entrance: Any = 987_654_321
    return entrance(*args, **kwargs)


async def _async_code(*args: Any, **kwargs: Any) -> Any:
    entrance: Any = 987_654_321
    return await entrance(*args, **kwargs)


class CannotInstrument(TypeError):
    """An object cannot be a tool. The message says why."""


class Entrance:
    """What a changed function calls in place of its own code. `original` executes that code. `call` is set when the
    function becomes a tool, and cannot be changed for another."""

    __slots__ = ("call", "is_async", "original", "signature")

    def __init__(self, original: Callable[..., Any], signature: inspect.Signature) -> None:
        self.original, self.signature = original, signature
        self.is_async = inspect.iscoroutinefunction(original) or inspect.iscoroutinefunction(
            type(original).__dict__.get("__call__")
        )
        self.call: Callable[[tuple[Any, ...], dict[str, Any]], Any] = self._call_original

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(args, kwargs)

    def _call_original(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.original(*args, **kwargs)


def entrance_of(function: object) -> Entrance | None:
    """The entrance of a function that was changed. None if it was not."""
    found = getattr(function, ATTRIBUTE, None)
    return found if isinstance(found, Entrance) else None


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
    setattr(function, ATTRIBUTE, entrance)
    return entrance


def instrument_tool(tool: BaseTool) -> tuple[Entrance, ...]:
    """Changes the functions of a LangChain tool, or the methods of an object of a subclass. Raises
    `CannotInstrument`."""
    if isinstance(tool, StructuredTool | Tool):
        functions = [each for each in (tool.func, tool.coroutine) if each is not None]
        if all(isinstance(each, types.FunctionType) for each in functions):
            return tuple(instrument_function(each) for each in functions)
        return tuple(_instrument_member(tool, name) for name in ("func", "coroutine") if getattr(tool, name))
    own = [name for name in ("_run", "_arun") if getattr(type(tool), name) is not getattr(BaseTool, name)]
    return tuple(_instrument_member(tool, name) for name in own)


def _instrument_member(tool: BaseTool, name: str) -> Entrance:
    """Replaces a method, or a callable object that has no code of its own, by a function of this one tool."""
    member = getattr(tool, name)
    existing = entrance_of(member)
    if existing is not None:
        return existing
    entrance = Entrance(member, inspect.signature(member))
    replaced = _async_replacement(entrance) if entrance.is_async else _sync_replacement(entrance)
    replaced.__signature__ = entrance.signature  # type: ignore[attr-defined]
    replaced.__annotations__ = dict(getattr(member, "__annotations__", {}))
    replaced.__name__ = name
    setattr(replaced, ATTRIBUTE, entrance)
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
