"""Type annotations as text, for comparing them.

Classes of the project are described by their fields, so that a new field changes the text. A field that may be missing
from a stored value has a question mark. Classes of libraries are described by their names, so that an update of a
library does not change the text. Docstrings do not count, and of a default only that there is one.

Equal annotations must have equal texts in every process, so nothing here may use `id()`, `hash()` of strings, or the
order of a set.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Iterable
from typing import Any, NotRequired, Required

from langchain_core.messages import BaseMessage
from typing_extensions import ReadOnly, TypeAliasType, is_typeddict

from slipway.graphs.annotations import fields_of, from_library, is_record, optional_fields


def describe(annotation: object, within: tuple[type, ...] = ()) -> str:
    """An annotation as text. Equal for `List[int]` and `list[int]`, and for `Optional[X]` and `X | None`. `within` are
    the records whose fields are being described: a record that contains itself is described once."""
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, (str, typing.ForwardRef)):
        return getattr(annotation, "__forward_arg__", None) or str(annotation)
    if is_record(annotation):
        assert isinstance(annotation, type)
        return _record(annotation, within)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Annotated, NotRequired, Required, ReadOnly):
        return describe(args[0], within)
    if origin is typing.Literal:
        return f"Literal[{', '.join(sorted(map(repr, args)))}]"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(sorted({describe(part, within) for part in args}))
    if isinstance(annotation, TypeAliasType) or type(annotation).__name__ == "TypeAliasType":
        return describe(typing.cast(Any, annotation).__value__, within)
    if isinstance(annotation, typing.NewType):
        return describe(annotation.__supertype__, within)
    if origin is not None:
        head = describe(origin, within)
        return f"{head}[{', '.join(_parameters(args, within))}]" if args else head
    if isinstance(annotation, type):
        return (
            annotation.__qualname__
            if from_library(annotation)
            else f"{annotation.__module__}.{annotation.__qualname__}"
        )
    return _special(annotation)


def describe_fields(schema: object) -> str:
    """A schema of which only the fields count, such as that of an input: its class is not stored. Any other annotation
    as `describe` has it."""
    if not isinstance(schema, type) or not is_record(schema) or issubclass(schema, enum.Enum):
        return describe(schema)
    return f"{{{_fields(schema, (schema,))}}}"


def _special(annotation: object) -> str:
    """The name of `Any`, a type variable or `...`. Their `repr` may contain a memory address."""
    name = getattr(annotation, "__name__", None) or getattr(annotation, "_name", None)
    return str(name) if name else "..." if annotation is Ellipsis else type(annotation).__qualname__


def _parameters(args: Iterable[object], within: tuple[type, ...]) -> Iterable[str]:
    for part in args:
        yield f"[{', '.join(_parameters(part, within))}]" if isinstance(part, list) else describe(part, within)


def _record(cls: type, within: tuple[type, ...]) -> str:
    """A typed dict is stored as a dict, so its name does not count. Other records are stored with their names.

    All message classes of LangChain count as one class: a release that adds a message class changes no stored thread.
    """
    if issubclass(cls, BaseMessage) and from_library(cls):
        return "Message"
    name = "dict" if is_typeddict(cls) else f"{cls.__module__}.{cls.__qualname__}"
    if cls in within or (from_library(cls) and not is_typeddict(cls)):
        return name
    if issubclass(cls, enum.Enum):
        return f"{name}{{{', '.join(sorted(map(_member, cls.__members__.values())))}}}"
    return f"{name}{{{_fields(cls, (*within, cls))}}}"


def _fields(cls: type, within: tuple[type, ...]) -> str:
    optional = optional_fields(cls)
    fields = sorted(fields_of(cls).items())
    return ", ".join(f"{name}{'?' * (name in optional)}: {describe(kind, within)}" for name, kind in fields)


def _member(member: enum.Enum) -> str:
    """The value is what is stored."""
    return f"{member.name}={member.value!r}" if isinstance(member.value, (str, int)) else member.name
