"""Reads the code of a node: where it pauses, and which prompts and models it declares.

LangGraph matches stored answers with calls of `interrupt()`, and stored results with calls of tasks, by their order in
one execution of a node. Which calls there will be is known only when the code runs; in which order the text has them is
known before. Functions of the project that a node calls count where it calls them. Functions of libraries do not, so
that an update of a library changes nothing.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from langchain_core.runnables import Runnable
from langgraph.func import _TaskFunction
from langgraph.pregel import Pregel
from langgraph.types import interrupt

from slipway.graphs.annotations import is_library
from slipway.graphs.code_references import NOTHING, BoundFunction, attribute_of, named_by, references_of
from slipway.graphs.function_marks import Uses, original_of, uses_of

if TYPE_CHECKING:
    from langgraph.prebuilt import ToolNode

MOST_PAUSES: Final = 500
"""More are not read: each further one could double the time."""

_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
_METHODS: Final = ("ainvoke", "invoke", "_arun", "_run")
"""The methods of runnables and tools that a project writes. The first that it has written counts."""

_CALLS: Final = (types.FunctionType, types.MethodType, functools.partial, staticmethod, classmethod)

_FUNCTIONS: Final = ("afunc", "coroutine", "func")
"""The attributes of runnables and tools that are made of functions. The first that is set counts."""

_PARTS: Final = (
    "first",
    "middle",
    "last",
    "steps",
    "steps__",
    "bound",
    "mapper",
    "branches",
    "default",
    "runnable",
    "fallbacks",
)
"""The attributes of runnables that are composed of others."""
_MOST_MEMBERS: Final = 200


@dataclass(frozen=True, slots=True)
class NodeCode:
    """What the code of one node says."""

    pauses: tuple[str, ...]
    uses: Uses


def read_code(bound: object, quiet: set[BoundFunction]) -> NodeCode:
    """`bound` is what a node executes: a runnable. A subgraph has no code of its own. `quiet` are functions that are
    known to reach nothing that pauses or is marked; functions are added to it."""
    reader = _Reader(bound, quiet)
    pauses = () if isinstance(bound, Pregel) else tuple(reader.pauses_of(bound))
    return NodeCode(pauses[:MOST_PAUSES], reader.uses())


class _Reader:
    """Reads the code of one node."""

    def __init__(self, bound: object, quiet: set[BoundFunction]) -> None:
        self._quiet = quiet
        self._package = _package_of(bound)
        self._prompts: dict[str, set[str]] = {}
        self._models: set[str] = set()
        self._known: dict[tuple[int, int], tuple[str, ...]] = {}
        self._open: set[tuple[int, int]] = set()
        self._kept: list[object] = []
        """What the ids in the other members belong to."""

    def uses(self) -> Uses:
        prompts = {name: ",".join(sorted(versions)) for name, versions in sorted(self._prompts.items())}
        return Uses(prompts, tuple(sorted(self._models)))

    def pauses_of(self, value: object, owner: object = NOTHING) -> tuple[str, ...]:
        """The pauses of an object that is called. Those of a function that calls itself are counted once."""
        if isinstance(value, BoundFunction):
            return self.pauses_of(value.function, value.owner)
        key = (id(value), id(owner))
        if key not in self._known and key not in self._open:
            self._kept += [value, owner]
            self._open.add(key)
            self._known[key] = tuple(self._read(value, owner))[:MOST_PAUSES]
            self._open.discard(key)
        return self._known.get(key, ())

    def _read(self, value: object, owner: object) -> Iterator[str]:
        self._add_uses(value)
        if value is interrupt:
            yield "interrupt"
        elif isinstance(value, _TaskFunction):
            yield self._task(value)
        elif isinstance(value, Pregel):
            yield f"subgraph {value.name}"
        elif isinstance(value, types.FunctionType):
            yield from self._function(value, owner)
        elif isinstance(value, types.MethodType):
            yield from self.pauses_of(value.__func__, value.__self__)
        elif isinstance(value, functools.partial):
            for each in (value.func, *value.args, *value.keywords.values()):
                if callable(each):
                    yield from self.pauses_of(each)
        elif isinstance(value, (list, tuple, dict)):
            yield from self._members(value)
        elif not isinstance(value, type):
            yield from self._object(value)

    def _task(self, task: _TaskFunction[Any, Any]) -> str:
        """A task numbers its own pauses."""
        inner = ", ".join(self.pauses_of(task.func))
        name = str(getattr(task.func, "__name__", type(task.func).__name__))
        return f"task {name} ({inner})" if inner else f"task {name}"

    def _function(self, function: types.FunctionType, owner: object) -> Iterator[str]:
        original = original_of(function)
        if original is not function:
            yield from self.pauses_of(original, owner)
        elif self._is_of_project(function):
            if self._is_quiet(function, owner):
                return
            for each in references_of(function, owner):
                yield from self.pauses_of(each)
        elif (wrapped := function.__dict__.get("__wrapped__")) is not None:  # a decorator of a library
            yield from self.pauses_of(wrapped, owner)

    def _is_quiet(self, function: types.FunctionType, owner: object) -> bool:
        """Whether the function, and all functions that it can call by name, name nothing else that may matter. That is
        so for most functions, and to read their instructions takes long."""
        waiting = [BoundFunction(function, owner)]
        seen = set[BoundFunction]()
        while waiting:
            current = waiting.pop()
            if current in seen or current in self._quiet:
                continue
            seen.add(current)
            for each in named_by(current.function, current.owner):
                called = each if isinstance(each, BoundFunction) else BoundFunction.unbound(each)
                if called is None and not _is_plain(each):
                    return False
                if called is not None and not self._is_ordinary(called.function):
                    return False
                if called is not None and self._is_of_project(called.function):
                    waiting.append(called)
        self._quiet |= seen
        return True

    def _is_ordinary(self, function: types.FunctionType) -> bool:
        """Whether a function matters only by what it calls."""
        if function is interrupt or uses_of(function) is not None or original_of(function) is not function:
            return False
        return self._is_of_project(function) or "__wrapped__" not in function.__dict__

    def _members(self, container: list[Any] | tuple[Any, ...] | dict[Any, Any]) -> Iterator[str]:
        """A table of functions, from which the code takes one."""
        members = list(container.values()) if isinstance(container, dict) else list(container)
        for each in members[:_MOST_MEMBERS]:
            if callable(each) and not isinstance(each, type):
                yield from self.pauses_of(each)

    def _object(self, value: object) -> Iterator[str]:
        if _is_tool_node(value):  # a model decides which tools are called
            for name, tool in sorted(value.tools_by_name.items()):
                yield from (f"tool {name}: {each}" for each in self.pauses_of(tool))
        elif isinstance(value, Runnable):
            yield from self._runnable(value)
        elif isinstance(call := attribute_of(value, "__call__"), BoundFunction):
            yield from self.pauses_of(call)

    def _runnable(self, value: Runnable[Any, Any]) -> Iterator[str]:
        for name in _METHODS:
            method = original_of(attribute_of(value, name))
            function = method if isinstance(method, BoundFunction) else BoundFunction.of(method)
            if function is not None and self._is_of_project(function.function):
                yield from self.pauses_of(function)
                return
        function_of_library = next((each for name in _FUNCTIONS if (each := _own(value, name)) is not None), None)
        if function_of_library is not None:
            yield from self.pauses_of(function_of_library)
            return
        for name in _PARTS:
            yield from self._part(_own(value, name))

    def _part(self, part: object) -> Iterator[str]:
        if isinstance(part, Runnable):
            yield from self.pauses_of(part)
        elif isinstance(part, (list, tuple, dict)):
            for each in part.values() if isinstance(part, dict) else part:
                yield from self._part(each)

    def _is_of_project(self, function: types.FunctionType) -> bool:
        """By the module with the code: `functools.wraps` copies the name of another one."""
        module = str(function.__globals__.get("__name__", ""))
        package = module.partition(".")[0]
        if package == self._package:
            return True
        if package == "slipway" or is_library(module):
            return False
        return not _INSTALLED.intersection(Path(function.__code__.co_filename).parts)

    def _add_uses(self, value: object) -> None:
        if isinstance(value, (type, types.MethodType)) or (uses := uses_of(value)) is None:
            return
        for name, version in uses.prompts.items():
            self._prompts.setdefault(name, set()).add(version)
        self._models.update(uses.models)


def _is_plain(value: object) -> bool:
    """Whether code can reach nothing through an object. What it reaches through modules and classes counts by
    itself."""
    if isinstance(value, (dict, list, tuple)):
        return not any(map(callable, value.values() if isinstance(value, dict) else value))
    if isinstance(value, (type, types.ModuleType)):
        return True
    return type(value).__module__ in sys.stdlib_module_names and not isinstance(value, _CALLS)


def _is_tool_node(value: object) -> TypeGuard[ToolNode]:
    """The module takes a quarter of a second to import, and is needed only if the project has imported it."""
    module = sys.modules.get("langgraph.prebuilt.tool_node")
    return module is not None and isinstance(value, module.ToolNode)


def _own(value: object, name: str) -> Any:
    """The attribute that an object has itself, and not through its class. None if there is none. Calls nothing."""
    try:
        return object.__getattribute__(value, "__dict__").get(name)
    except AttributeError:
        return None


def _package_of(bound: object) -> str | None:
    """The package with the function that a node executes. It may be installed as libraries are."""
    function = bound
    for _ in range(10):
        inner = next((each for name in _FUNCTIONS if (each := _own(function, name)) is not None), None)
        if inner is None:
            break
        function = inner
    module = str(getattr(function, "__module__", None) or type(function).__module__)
    package = module.partition(".")[0]
    return None if is_library(package) or package == "slipway" else package
