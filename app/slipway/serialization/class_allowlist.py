"""The classes of which stored objects may be rebuilt. No other class is imported or constructed when state is read.

A class is allowed if it is a message of LangChain or a type of LangGraph (`ALWAYS`), if the state schema of a graph
names it (`ClassAllowlist.add` follows the annotations), if the deployment allows it (`allow`), or if it is a data class
of a module that the graphs use (`modules`). Only modules that are allowed by `allow` are imported because stored data
names them.

`allow` takes `("package.module", "Name")` for one class and `"package"` for every class of a package or module.
"""

from __future__ import annotations

import importlib
import typing
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, Final

import structlog
from pydantic import BaseModel

from slipway.serialization.data_classes import class_in, has_finalizer, imported_module, kind_of, name_of
from slipway.serialization.objects import NotRebuildable

Allowance = tuple[str, str] | str | type
"""One class by module and name, every class of a package or module, or a class itself."""

Modules = Callable[[str], ModuleType | None]
"""Returns the module of a name if graphs use it, else None."""

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
    ("langgraph.store.base", "SearchItem"),
)

Reference = int | tuple[str, str]
"""How a stored value names its class: a position in `ALWAYS`, or module and qualified name."""

_ADVICE: Final = "name its module in checkpointer.serde.allowed_msgpack_modules of langgraph.json"
MOST_WARNINGS: Final = 1000

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class ClassAllowlist:
    """The allowed classes of one process. Loading a graph adds its classes.

    `modules` finds the modules of which every data class is allowed; None allows no such module. `allow_json` lists the
    classes that may be rebuilt from JSON, in addition to those of state schemas: a user's JSON can imitate stored
    objects. None allows all classes that are allowed otherwise.
    """

    def __init__(
        self,
        allow: Iterable[Allowance] = (),
        modules: Modules | None = None,
        allow_json: Iterable[Allowance] | None = (),
    ) -> None:
        self._by_name = _Names()
        self._json_by_name = None if allow_json is None else _Names(allow_json)
        self._types: dict[tuple[str, str], type] = {}
        self._modules = modules
        self._references: dict[type, Reference] = {}
        self._resolved: dict[Reference, type] = {}
        self._visited: set[Any] = set()
        self._fields_of_models: set[type] = set()
        self._warned: set[tuple[Any, ...]] = set()
        self.allow(allow)

    def allow(self, allow: Iterable[Allowance]) -> None:
        """Allows more classes."""
        for entry in allow:
            if isinstance(entry, type):
                self.add(entry)
            else:
                self._by_name.add(entry)

    def add(self, annotation: Any) -> None:
        """Allows the class of a state schema and every class that its annotations mention, at any depth."""
        waiting = [(annotation, False)]
        while waiting:
            found, in_model = waiting.pop()
            if not self._is_first_visit((found, in_model)):
                continue
            if hasattr(found, "__value__"):  # `type X = ...`
                waiting.append((found.__value__, in_model))
            waiting.extend((part, in_model) for part in typing.get_args(found))
            origin = typing.get_origin(found)
            if origin is not None:
                waiting.append((origin, in_model))
            elif isinstance(found, type):
                if in_model:
                    self._fields_of_models.add(found)
                if kind_of(found) is not None:
                    key = name_of(found)
                    self._types[key] = found
                    self._resolved.pop(key, None)
                model = kind_of(found) == "model"
                waiting.extend((part, model) for part in _annotations(found))

    def _is_first_visit(self, item: Any) -> bool:
        """Remembers the item. False for an item that was visited before, and for one that is not hashable."""
        try:
            if item in self._visited:
                return False
            self._visited.add(item)
        except TypeError:  # not hashable: metadata inside Annotated, or the values of a Literal
            return False
        return True

    def is_field_of_model(self, cls: type) -> bool:
        """Whether a declared model has a field of this class. Such an object is rebuilt even without some of its
        fields: a model as state schema rejects plain data there, which would block every run and state write of the
        thread, but accepts an object without validating it."""
        return cls in self._fields_of_models

    def reference(self, cls: type) -> Reference:
        """The stored name of a class. It may be a name under which the class cannot be found again."""
        cached = self._references.get(cls)
        if cached is None:
            key = name_of(cls)
            cached = self._references[cls] = ALWAYS.index(key) if key in ALWAYS else key
        return cached

    def resolve(self, reference: Reference) -> type:
        """The class that a stored value names. Raises `NotRebuildable` with the reason when the class is not found or
        not allowed."""
        cached = self._resolved.get(reference)
        if cached is None:
            found = self._declared(reference, self._by_name) or self._of_graphs(reference)
            cached = self._resolved[reference] = found
        return cached

    def resolve_json(self, reference: Reference) -> type:
        """`resolve` for values that were stored as JSON, which a user's JSON can imitate."""
        if self._json_by_name is None:
            return self.resolve(reference)
        found = self._declared(reference, self._json_by_name)
        if found is None:
            raise NotRebuildable("the class is not allowed in JSON")
        return found

    @staticmethod
    def name_of(reference: Reference) -> str:
        """A stored name, for people."""
        if not isinstance(reference, int):
            return ".".join(reference)
        return ".".join(ALWAYS[reference]) if 0 <= reference < len(ALWAYS) else f"class number {reference}"

    def warn(self, cls: tuple[str, str] | str, why: str, attributes: Sequence[str] | None = None) -> None:
        """Logs once for each class and reason that its objects are not restored."""
        key = (cls, why)
        if key not in self._warned and len(self._warned) < MOST_WARNINGS:
            self._warned.add(key)
            name = cls if isinstance(cls, str) else ".".join(cls)
            log.warning("state.not_restored", type=name, reason=why, attributes=attributes)

    def _declared(self, reference: Reference, by_name: _Names) -> type | None:
        """A class that a state schema or the deployment names; None for any other."""
        if isinstance(reference, int):
            if not 0 <= reference < len(ALWAYS):
                raise NotRebuildable(f"class number {reference} is unknown to this release")
            return _import_class(*ALWAYS[reference])
        if reference in self._types:
            return self._types[reference]
        if not by_name.has(*reference):
            return None
        found = _import_class(*reference)
        if kind_of(found) is None:
            raise NotRebuildable("it is neither a pydantic model, a dataclass, an enum nor a named tuple")
        return found

    def _of_graphs(self, reference: Reference) -> type:
        module_name, name = typing.cast(tuple[str, str], reference)
        if "<locals>" in name:
            raise NotRebuildable(
                "it is defined inside a function and cannot be imported: move it to the top of its module"
            )
        if self._modules is None:
            raise NotRebuildable(f"no state schema names it, and only such classes are restored: {_ADVICE}")
        module = self._modules(module_name)
        if module is None:
            raise NotRebuildable(f"no graph imports its module, and it is not imported for stored data: {_ADVICE}")
        found = class_in(module, name)
        if found is None:
            raise NotRebuildable("its module has no such class")
        if kind_of(found) is None:
            raise NotRebuildable("it is neither a pydantic model, a dataclass, an enum nor a named tuple")
        if has_finalizer(found):
            raise NotRebuildable(f"it has a __del__ method: {_ADVICE}")
        return found


class _Names:
    """Classes by module and name, and whole packages."""

    def __init__(self, entries: Iterable[Allowance] = ()) -> None:
        self._pairs: set[tuple[str, str]] = set()
        self._packages: set[str] = set()
        for entry in entries:
            self.add(entry)

    def add(self, entry: Allowance) -> None:
        if isinstance(entry, str):
            self._packages.add(entry)
        else:
            self._pairs.add(name_of(entry) if isinstance(entry, type) else (entry[0], entry[1]))

    def has(self, module: str, name: str) -> bool:
        name = name.partition("[")[0]  # an entry for a generic model allows its parametrized models too
        if (module, name) in self._pairs or (module, name.rpartition(".")[2]) in self._pairs:
            return True
        return any(module == package or module.startswith(f"{package}.") for package in self._packages)


def _annotations(cls: type) -> list[Any]:
    if issubclass(cls, BaseModel):
        return [field.annotation for field in cls.model_fields.values()]
    if kind_of(cls) is None and not typing.is_typeddict(cls) and "__total__" not in vars(cls):
        return []
    try:
        return list(typing.get_type_hints(cls, include_extras=True).values())
    except Exception:  # one cannot be resolved, such as a name that is imported for type checkers only: use the others
        return [hint for hint in getattr(cls, "__annotations__", {}).values() if not isinstance(hint, str)]


def _import_class(module_name: str, name: str) -> type:
    """A class that is allowed by name; its module is imported."""
    if imported_module(module_name) is None:
        try:
            importlib.import_module(module_name)
        except Exception as error:  # the code of the module may raise anything
            raise NotRebuildable(f"its module cannot be imported ({type(error).__name__})") from error
    module = imported_module(module_name)
    found = None if module is None else class_in(module, name)
    if found is None:
        raise NotRebuildable("its module has no such class")
    return found
