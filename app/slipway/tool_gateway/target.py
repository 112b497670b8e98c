"""The function or the LangChain tool behind a definition: its arguments, and its calls."""

from __future__ import annotations

import copy
import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from slipway.errors import ToolArgumentsInvalid, ToolRefused, ToolRejected
from slipway.exception_text import class_name, message_of
from slipway.graphs.interface import Graph
from slipway.metering.marks import COUNTED_BY_GATEWAY, TOOL_MARK
from slipway.tool_gateway.current_call import CURRENT_GATEWAY, TOOL_CALL_ID
from slipway.tool_gateway.entry import enter, enter_from_thread
from slipway.tool_gateway.instrumentation import (
    CannotInstrument,
    Entrance,
    entrance_of,
    instrument_function,
    instrument_tool,
    passes_gateway,
)

_INJECTED_NAMES: Final = frozenset({"config", "callbacks", "run_manager", "runtime"})
"""Arguments of LangChain that a function with `**kwargs` may receive."""


class ToolTarget:
    """A registered function or LangChain tool. Making one changes the object in place."""

    def __init__(self, name: str, target: object) -> None:
        """Raises `CannotInstrument`."""
        self.name, self.target = name, target
        self.langchain_tool = target if isinstance(target, BaseTool) else _tool_of(name, target)
        """The tool itself, or one made of the function."""
        self.entrances = (
            instrument_tool(target) if isinstance(target, BaseTool) else (instrument_function(_function(target)),)
        )
        for entrance in self.entrances:
            entrance.tool = name
            entrance.call = partial(enter if entrance.is_async else enter_from_thread, self, entrance)
        if isinstance(target, BaseTool):
            prepare(target)

    @property
    def entrance(self) -> Entrance:
        """The one that does not need a thread, if there are two."""
        return next((each for each in self.entrances if each.is_async), self.entrances[0])

    @property
    def returns_artifact(self) -> bool:
        """Whether the tool returns a pair: what the model receives, and what the graph receives."""
        return self.langchain_tool.response_format == "content_and_artifact"

    @property
    def where(self) -> str:
        """File and line of the function."""
        code = getattr(self.entrance.original, "__code__", None)
        return "?" if code is None else f"{code.co_filename}:{code.co_firstlineno}"

    @cached_property
    def origin(self) -> tuple[str, str]:
        """File and name of the function: the same if its module is imported again, by `importlib.reload` or under
        another name."""
        return origin_of(self.entrance.original)

    @property
    def description(self) -> str:
        return self.langchain_tool.description

    @cached_property
    def schema(self) -> type[BaseModel] | Mapping[str, Any]:
        """The arguments that a model may give: a pydantic model or a JSON schema."""
        schema: Any = self.langchain_tool.tool_call_schema
        return schema if isinstance(schema, dict) or _is_model(schema) else {"type": "object"}

    @cached_property
    def json_schema(self) -> Mapping[str, Any]:
        """The same as a JSON schema, for reviewers."""
        schema = self.schema
        if isinstance(schema, type):
            try:
                return schema.model_json_schema()
            except Exception:  # an argument of a class without a JSON schema
                return {"type": "object"}
        return schema

    @cached_property
    def _names(self) -> frozenset[str] | None:
        """The names of the arguments. None if the schema does not list them."""
        if isinstance(self.schema, type):
            return frozenset(self.schema.model_fields)
        properties = self.schema.get("properties")
        return frozenset(properties) if isinstance(properties, dict) else None

    def is_visible(self, name: str) -> bool:
        """Whether an argument comes from the caller, and not from LangGraph."""
        return name not in _INJECTED_NAMES and (self._names is None or name in self._names)

    def bind(self, entrance: Entrance, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> BoundCall:
        """A call with copies of these arguments, so that it stays as it is while people decide about it, although the
        caller changes a list. Raises `ToolArgumentsInvalid` if the function cannot be called with them."""
        try:
            bound = entrance.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ToolArgumentsInvalid(f"tool {self.name!r}: {error}", self.name) from None
        bound.apply_defaults()
        return BoundCall(self, entrance, bound).copied()

    def parse(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Converts arguments from JSON to the types that the function declares. Raises `ToolArgumentsInvalid`, which
        names the first wrong argument."""
        if self._names is not None and (unknown := next((name for name in args if name not in self._names), None)):
            raise ToolArgumentsInvalid(f"tool {self.name!r}: {unknown}: the tool has no such argument", self.name)
        if not isinstance(self.schema, type):
            return dict(args)
        try:
            parsed = self.schema.model_validate(dict(args))
        except ValidationError as error:
            raise self._invalid(error) from None
        return {name: getattr(parsed, name) for name in args}

    def check(self, args: Mapping[str, Any]) -> None:
        """Raises `ToolArgumentsInvalid` if arguments of a call in Python do not have the declared types."""
        if isinstance(self.schema, type):
            try:
                self.schema.model_validate(dict(args))
            except ValidationError as error:
                raise self._invalid(error) from None

    def _invalid(self, error: ValidationError) -> ToolArgumentsInvalid:
        problem = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in problem["loc"])
        return ToolArgumentsInvalid(f"tool {self.name!r}: {path}: {problem['msg']}", self.name)


class BoundCall:
    """The arguments of one call, as the function receives them."""

    def __init__(self, target: ToolTarget, entrance: Entrance, bound: inspect.BoundArguments) -> None:
        self.target, self.entrance, self._bound = target, entrance, bound
        kinds = entrance.signature.parameters.items()
        self._rest = next((name for name, each in kinds if each.kind is inspect.Parameter.VAR_KEYWORD), None)

    @property
    def values(self) -> dict[str, Any]:
        """The arguments that come from the caller, by name."""
        given = {name: value for name, value in self._bound.arguments.items() if name != self._rest}
        if self._rest is not None:
            given |= self._bound.arguments.get(self._rest, {})
        return {name: value for name, value in given.items() if self.target.is_visible(name)}

    @property
    def injected(self) -> dict[str, Any]:
        """The arguments that come from LangGraph, by name."""
        given = {name: value for name, value in self._bound.arguments.items() if name != self._rest}
        return {name: value for name, value in given.items() if not self.target.is_visible(name)}

    def json_args(self) -> dict[str, Any]:
        """The arguments that come from the caller, as JSON. Raises `ToolArgumentsInvalid`."""
        try:
            args: dict[str, Any] = to_jsonable_python(self.values, by_alias=False)
        except Exception as error:
            raise ToolArgumentsInvalid(
                f"tool {self.target.name!r}: an argument cannot be written as JSON: {error}", self.target.name
            ) from None
        return args

    def copied(self) -> BoundCall:
        """The same call with copies of the arguments that come from the caller. Raises `ToolArgumentsInvalid`."""
        visible, arguments = self.target.is_visible, dict(self._bound.arguments)
        rest = arguments.pop(self._rest, None) if self._rest is not None else None
        try:
            copies = {name: copy.deepcopy(each) if visible(name) else each for name, each in arguments.items()}
            if self._rest is not None and rest is not None:
                copies[self._rest] = {n: copy.deepcopy(each) if visible(n) else each for n, each in rest.items()}
        except Exception as error:
            problem = f"an argument cannot be copied: {class_name(error)}: {message_of(error)}"
            raise ToolArgumentsInvalid(f"tool {self.target.name!r}: {problem}", self.target.name) from None
        return BoundCall(self.target, self.entrance, inspect.BoundArguments(self._bound.signature, OrderedDict(copies)))

    def execute(self) -> Any:
        """Calls the original function with copies, so that each try gets the arguments that were approved. Returns a
        coroutine if that is a coroutine function."""
        bound = self.copied()._bound
        return self.entrance.original(*bound.args, **bound.kwargs)


def origin_of(function: object) -> tuple[str, str]:
    """File and name of a function, or of a method."""
    code = getattr(function, "__code__", None)
    return ("", "") if code is None else (str(Path(code.co_filename).resolve()), code.co_qualname)


def prepare_tools_in(graph: Graph) -> None:
    """Prepares the LangChain tools that LangGraph's `ToolNode`s in this graph have made of registered functions."""
    for each in (graph, *(subgraph for _, subgraph in graph.get_subgraphs(recurse=True))):
        for node in getattr(each, "nodes", {}).values():  # a graph on another server has none
            bound = getattr(node.bound, "bound", node.bound)
            tools: Mapping[str, BaseTool] = getattr(bound, "tools_by_name", {})  # `ToolNode` is slow to import
            for tool in tools.values():
                if isinstance(tool, StructuredTool) and (entrance_of(tool.func) or entrance_of(tool.coroutine)):
                    prepare(tool)


def prepare(tool: BaseTool) -> None:
    """Lets the gateway know the id of the model's tool call, lets the meter know that the gateway counts its calls, and
    makes the message that the model receives for a call that was not executed because of its arguments or a reviewer.
    Does nothing for a tool that is prepared already."""
    if "run" in tool.__dict__:
        return
    tool.metadata = {**(tool.metadata or {}), TOOL_MARK: COUNTED_BY_GATEWAY}
    run, arun, name = tool.run, tool.arun, tool.name

    def check() -> None:
        if passes_gateway(tool):
            return
        why = f"tool {name!r}: its function was replaced after it was registered"
        if (gateway := CURRENT_GATEWAY.get()) is not None:
            gateway.refuse(name, None, why)
        raise ToolRefused(why, name)

    def run_with_id(*args: Any, tool_call_id: str | None = None, **kwargs: Any) -> Any:
        check()
        token = TOOL_CALL_ID.set(None if tool_call_id is None else (name, tool_call_id))
        try:
            return run(*args, tool_call_id=tool_call_id, **kwargs)
        except (ToolRejected, ToolArgumentsInvalid) as error:
            return message_for_model(error, name, tool_call_id)
        finally:
            TOOL_CALL_ID.reset(token)

    async def arun_with_id(*args: Any, tool_call_id: str | None = None, **kwargs: Any) -> Any:
        check()
        token = TOOL_CALL_ID.set(None if tool_call_id is None else (name, tool_call_id))
        try:
            return await arun(*args, tool_call_id=tool_call_id, **kwargs)
        except (ToolRejected, ToolArgumentsInvalid) as error:
            return message_for_model(error, name, tool_call_id)
        finally:
            TOOL_CALL_ID.reset(token)

    tool.__dict__.update(run=run_with_id, arun=arun_with_id)  # pydantic accepts no attribute that is not a field


def message_for_model(error: Exception, name: str, tool_call_id: str | None) -> ToolMessage:
    """What the model receives instead of a result. Raises `error` if no model made the call."""
    if tool_call_id is None:
        raise error
    return ToolMessage(str(error), name=name, tool_call_id=tool_call_id, status="error")


def _function(target: object) -> Callable[..., Any]:
    if not callable(target) or isinstance(target, type):
        raise CannotInstrument(f"expected a function or a LangChain tool, found a {type(target).__name__}")
    return target


def _tool_of(name: str, target: object) -> BaseTool:
    """A LangChain tool of a function that is not changed yet."""
    function = _function(target)
    entrance = entrance_of(function)
    is_async = entrance.is_async if entrance else inspect.iscoroutinefunction(function)
    text = inspect.getdoc(function) or name
    try:
        if is_async:
            return StructuredTool.from_function(coroutine=function, name=name, description=text)
        return StructuredTool.from_function(function, name=name, description=text)
    except Exception as error:
        raise CannotInstrument(f"its arguments cannot be described: {error}") from error


def _is_model(schema: object) -> bool:
    return isinstance(schema, type) and issubclass(schema, BaseModel)
