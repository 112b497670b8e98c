"""Reads type annotations: those that declare the state of a graph, and the classes in them."""

from __future__ import annotations

import dataclasses
import enum
import sys
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any, NotRequired, Required

from langgraph.func import _TaskFunction
from langgraph.pregel import Pregel
from pydantic import BaseModel
from typing_extensions import TypeAliasType, is_typeddict

from slipway.graphs.interface import Graph

_LIBRARIES = frozenset(sys.stdlib_module_names) | {"pydantic", "pydantic_core", "typing_extensions"}
_FAMILIES = ("langchain", "langgraph", "langsmith")


def from_library(cls: type) -> bool:
    """Whether a class belongs to Python, pydantic or LangChain's packages, and not to the project."""
    return is_library(cls.__module__)


def is_library(module: str) -> bool:
    root = module.partition(".")[0]
    return root in _LIBRARIES or root.startswith(_FAMILIES)


def is_record(annotation: object) -> bool:
    """Whether it is a class that declares its fields: pydantic model, dataclass, named tuple, enum or typed dict."""
    return isinstance(annotation, type) and (
        is_typeddict(annotation)
        or dataclasses.is_dataclass(annotation)
        or issubclass(annotation, (BaseModel, enum.Enum))
        or (issubclass(annotation, tuple) and hasattr(annotation, "_fields"))
    )


def fields_of(cls: type) -> dict[str, Any]:
    """The annotations of a record by field name, in order. An annotation that cannot be resolved is a string."""
    if issubclass(cls, enum.Enum):
        return {}
    names = [f.name for f in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else None
    if issubclass(cls, BaseModel):
        return {name: field.annotation for name, field in cls.model_fields.items()}
    hints = hints_of(cls)
    return hints if names is None else {name: hints.get(name, Any) for name in names}


def optional_fields(cls: type) -> set[str]:
    """The fields of a record that may be missing from a stored value: they have a default, or a typed dict does not
    require them."""
    if issubclass(cls, enum.Enum):
        return set()
    if issubclass(cls, BaseModel):
        return {name for name, field in cls.model_fields.items() if not field.is_required()}
    if dataclasses.is_dataclass(cls):
        missing = dataclasses.MISSING
        fields = dataclasses.fields(cls)
        return {f.name for f in fields if not f.init or (f.default, f.default_factory) != (missing, missing)}
    if not is_typeddict(cls):
        return set(getattr(cls, "_field_defaults", ()))
    return {name for name, hint in hints_of(cls).items() if _is_optional_key(cls, name, hint)}


def _is_optional_key(cls: type, name: str, hint: object) -> bool:
    """Python itself does not see `NotRequired` in a module with `from __future__ import annotations`."""
    origin = typing.get_origin(hint)
    if origin in (Required, NotRequired):
        return origin is NotRequired
    return name in getattr(cls, "__optional_keys__", ())


def hints_of(target: object) -> dict[str, Any]:
    """The annotations of a class or function, resolved where possible."""
    try:
        return typing.get_type_hints(target, include_extras=True)
    except Exception:  # a name that only type checkers import, or an expression that fails
        return dict(getattr(target, "__annotations__", None) or {})


def classes_in(annotations: Iterable[object]) -> set[type]:
    """All record classes in the annotations and in the fields of these classes, and the subclasses that the project
    has defined so far: a field that is declared as `Shape` may hold a `Circle`."""
    classes: set[type] = set()
    pending = list(annotations)
    visited_ids: set[int] = set()
    visited: list[object] = []
    while pending:
        annotation = pending.pop()
        if id(annotation) in visited_ids:
            continue
        visited_ids.add(id(annotation))
        visited.append(annotation)  # or else its id could be reused by another object
        if is_record(annotation):
            assert isinstance(annotation, type)
            classes.add(annotation)
            pending.extend(fields_of(annotation).values())
            if not from_library(annotation):
                pending.extend(type.__subclasses__(annotation))
        pending.extend(parts_of(annotation))
    return classes


def parts_of(annotation: object) -> Iterator[object]:
    """The annotations that an annotation is composed of: members of a union, items of a list, the type of an alias."""
    if typing.get_origin(annotation) is typing.Literal:
        return
    if typing.get_origin(annotation) is typing.Annotated:
        yield typing.get_args(annotation)[0]
        return
    origin = typing.get_origin(annotation)
    if isinstance(origin, type) and origin is not types.UnionType:
        yield origin
    for part in typing.get_args(annotation):
        if isinstance(part, list):  # the parameters of a Callable
            yield from part
        else:
            yield part
    if isinstance(annotation, TypeAliasType) or type(annotation).__name__ == "TypeAliasType":
        yield typing.cast(Any, annotation).__value__
    elif isinstance(annotation, typing.NewType):
        yield annotation.__supertype__
    elif isinstance(annotation, typing.TypeVar):
        yield from annotation.__constraints__
        yield annotation.__bound__


def declared_by(graph: Graph) -> Iterator[object]:
    """The annotations of everything that a graph can store: schemas, channels, functions of nodes and tasks, and the
    same of its subgraphs."""
    builder = getattr(graph, "builder", None)
    if builder is not None:
        yield from builder.schemas
    yield graph.context_schema
    for channel in graph.channels.values():
        for side in ("ValueType", "UpdateType"):
            try:
                yield getattr(channel, side, None)
            except Exception:  # a channel class of the project
                continue
    for node in graph.nodes.values():
        for function in _functions(node.bound):
            yield from hints_of(function).values()
            if builder is None:
                yield from _results_of_tasks(function)
    for _, subgraph in graph.get_subgraphs():
        if isinstance(subgraph, Pregel):
            yield from declared_by(subgraph)


def _functions(bound: object) -> Iterator[object]:
    for step in getattr(bound, "steps", None) or [bound]:
        for name in ("func", "afunc"):
            function = getattr(step, name, None)
            if callable(function):
                yield function


def _results_of_tasks(entrypoint: object) -> Iterator[object]:
    """The return annotations of the tasks in the module of an entrypoint, because results of tasks are stored as
    well."""
    for thing in list(getattr(entrypoint, "__globals__", {}).values()):
        if isinstance(thing, _TaskFunction):
            yield hints_of(thing.func).get("return")
