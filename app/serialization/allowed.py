"""Which classes may appear in stored state. Nothing else is ever imported or constructed when it is read.

LangChain's messages and LangGraph's own types are always allowed. The state schemas of a loaded graph are added by
`Allowed.add`, which follows their annotations; `allow` takes what annotations do not tell: `("package.module", "Name")`
for one class, `"package"` for every class of a package or module.
"""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Iterable
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel

from app.errors import StateRefused, StoredDataError

Allowance = tuple[str, str] | str | type
"""One class by module and name, every class of a package or module, or a class itself."""

_MESSAGES: Final = "langchain_core.messages"

ALWAYS: Final[tuple[tuple[str, str], ...]] = (
    # The position in this list is stored: append only.
    (f"{_MESSAGES}.human", "HumanMessage"),
    (f"{_MESSAGES}.ai", "AIMessage"),
    (f"{_MESSAGES}.system", "SystemMessage"),
    (f"{_MESSAGES}.tool", "ToolMessage"),
    (f"{_MESSAGES}.chat", "ChatMessage"),
    (f"{_MESSAGES}.function", "FunctionMessage"),
    (f"{_MESSAGES}.modifier", "RemoveMessage"),
    (f"{_MESSAGES}.base", "BaseMessage"),
    (f"{_MESSAGES}.human", "HumanMessageChunk"),
    (f"{_MESSAGES}.ai", "AIMessageChunk"),
    (f"{_MESSAGES}.system", "SystemMessageChunk"),
    (f"{_MESSAGES}.tool", "ToolMessageChunk"),
    (f"{_MESSAGES}.chat", "ChatMessageChunk"),
    (f"{_MESSAGES}.function", "FunctionMessageChunk"),
    (f"{_MESSAGES}.base", "BaseMessageChunk"),
    ("langchain_core.documents.base", "Document"),
    ("langgraph.types", "Send"),
    ("langgraph.types", "TimeoutPolicy"),
    ("langgraph.types", "Interrupt"),
    ("langgraph.types", "Command"),
    ("langgraph.types", "StateSnapshot"),
    ("langgraph.types", "PregelTask"),
    ("langgraph.types", "Overwrite"),
    ("langgraph.store.base", "Item"),
    ("langgraph.store.base", "GetOp"),
    ("pydantic.types", "SecretStr"),
    ("pydantic.types", "SecretBytes"),
)

Reference = int | tuple[str, str]
"""How a stored value names its class: a position in `ALWAYS`, or module and qualified name."""


class Allowed:
    """The classes that stored state may be made of. One per process; graphs add theirs as they load."""

    def __init__(self, allow: Iterable[Allowance] = ()) -> None:
        self._pairs: set[tuple[str, str]] = set()
        self._packages: set[str] = set()
        self._types: dict[tuple[str, str], type] = {}
        self._references: dict[type, Reference] = {}
        self._resolved: dict[Reference, type] = {}
        self._seen: set[Any] = set()
        self.allow(allow)

    def allow(self, allow: Iterable[Allowance]) -> None:
        """Allow these as well."""
        for entry in allow:
            if isinstance(entry, str):
                self._packages.add(entry)
            elif isinstance(entry, type):
                self.add(entry)
            else:
                self._pairs.add((entry[0], entry[1]))

    def add(self, annotation: Any) -> None:
        """Allow a state schema: the class, and every class its annotations mention, however deep."""
        waiting = [annotation]
        while waiting:
            found = waiting.pop()
            if _known(found, self._seen):
                continue
            if hasattr(found, "__value__"):  # `type X = ...`
                waiting.append(found.__value__)
            waiting.extend(typing.get_args(found))
            origin = typing.get_origin(found)
            if origin is not None:
                waiting.append(origin)
            elif isinstance(found, type):
                if _is_record(found):
                    key = (found.__module__, found.__qualname__)
                    self._types[key] = found
                    self._resolved.pop(key, None)
                waiting.extend(_annotations(found))

    def named(self) -> list[tuple[str, str]]:
        """Every class that is allowed by name, LangChain's and LangGraph's included; none of whole packages."""
        return [*ALWAYS, *self._pairs, *self._types]

    def reference(self, cls: type) -> Reference:
        """How to name this class in storage. `StateRefused` when it is not allowed, or could not be found again."""
        known = self._references.get(cls)
        if known is None:
            known = self._references[cls] = self._refer(cls)
        return known

    def resolve(self, reference: Reference) -> type:
        """The class that a stored value names. `StoredDataError` when it is not allowed or is gone."""
        known = self._resolved.get(reference)
        if known is None:
            known = self._resolved[reference] = self._find(reference)
        return known

    def _refer(self, cls: type) -> Reference:
        key = (cls.__module__, cls.__qualname__)
        if key in ALWAYS:
            return ALWAYS.index(key)
        if key in self._types:
            return key
        if not self._names(*key):
            raise StateRefused(
                f"the state holds a {key[0]}.{key[1]}, which is not part of the graph's state schema. "
                f"Add it to the schema, or allow it: ({key[0]!r}, {key[1]!r})"
            )
        if _imported(*key) is not cls:
            raise StateRefused(f"{key[0]}.{key[1]} is not found under its own name, so it could not be read back")
        return key

    def _find(self, reference: Reference) -> type:
        if isinstance(reference, int):
            if not 0 <= reference < len(ALWAYS):
                raise StoredDataError(f"class number {reference} is unknown to this release")
            module, name = ALWAYS[reference]
        else:
            module, name = reference
            if (module, name) in self._types:
                return self._types[module, name]
            if not self._names(module, name):
                raise StoredDataError(f"{module}.{name} is not an allowed class")
        found = _imported(module, name)
        if not isinstance(found, type) or (found.__module__, found.__qualname__) != (module, name):
            raise StoredDataError(f"{module}.{name} is not a class of that module (any more)")
        return found

    def _names(self, module: str, name: str) -> bool:
        if (module, name) in self._pairs or (module, name.rpartition(".")[2]) in self._pairs:
            return True
        return any(module == package or module.startswith(f"{package}.") for package in self._packages)


def _known(found: Any, seen: set[Any]) -> bool:
    try:
        if found in seen:
            return True
        seen.add(found)
    except TypeError:  # not hashable: metadata inside Annotated, or the values of a Literal
        return True
    return False


def _is_record(cls: type) -> bool:
    return (
        issubclass(cls, BaseModel | Enum)
        or dataclasses.is_dataclass(cls)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
        or (hasattr(cls, "__fields__") and hasattr(cls, "construct"))  # pydantic.v1
    )


def _annotations(cls: type) -> list[Any]:
    if issubclass(cls, BaseModel):
        return [field.annotation for field in cls.model_fields.values()]
    if not _is_record(cls) and not typing.is_typeddict(cls) and "__total__" not in vars(cls):
        return []
    try:
        return list(typing.get_type_hints(cls, include_extras=True).values())
    except Exception:  # a name that only a type checker sees; what can be resolved was
        return [hint for hint in getattr(cls, "__annotations__", {}).values() if not isinstance(hint, str)]


def _imported(module: str, name: str) -> Any:
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return found
