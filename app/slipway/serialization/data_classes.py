"""Which classes are data: pydantic models, dataclasses, enums and named tuples.

Everything here reads the dictionaries of classes and modules directly. No attribute lookup reaches a metaclass, a
descriptor or a module's `__getattr__`, so inspecting a class runs none of its code.
"""

from __future__ import annotations

import dataclasses
import enum
import sys
import types
from collections.abc import Callable
from typing import Any, Final, Literal

from pydantic import BaseModel

Kind = Literal["model", "model of pydantic.v1", "enum", "named tuple", "dataclass"]

_MISSING: Final = object()
_type_attribute: Final = type.__getattribute__
module_dict: Final[Callable[[types.ModuleType], dict[str, Any]]] = vars(types.ModuleType)["__dict__"].__get__
"""Returns the names of a module. Does not load a lazy module."""


def kind_of(cls: type) -> Kind | None:
    """Returns the kind of a data class, or None for any other class."""
    bases = mro_of(cls)
    if BaseModel in bases:
        return "model"
    if enum.Enum in bases:
        return "enum"
    if tuple in bases:
        fields = class_attribute(cls, "_fields")
        return "named tuple" if type(fields) is tuple and all(type(name) is str for name in fields) else None
    if BaseException in bases:
        return None
    fields = class_attribute(cls, "__dataclass_fields__")
    if type(fields) is dict and all(isinstance(field, dataclasses.Field) for field in fields.values()):
        return "dataclass"
    v1 = sys.modules.get("pydantic.v1.main")
    return "model of pydantic.v1" if v1 is not None and v1.BaseModel in bases else None


def has_finalizer(cls: type) -> bool:
    """Whether code of the class runs when an object of it is freed."""
    return class_attribute(cls, "__del__") is not None


def mro_of(cls: type) -> tuple[type, ...]:
    mro: tuple[type, ...] = _type_attribute(cls, "__mro__")
    return mro


def name_of(cls: type) -> tuple[str, str]:
    """The class's own `__module__` and `__qualname__`."""
    module, name = _type_attribute(cls, "__module__"), _type_attribute(cls, "__qualname__")
    return (module if type(module) is str else "", name)


def class_attribute(cls: type, name: str) -> Any:
    """The attribute of the class or of its nearest base, without binding it; None if there is none."""
    for base in mro_of(cls):
        found = _type_attribute(base, "__dict__").get(name, _MISSING)
        if found is not _MISSING:
            return found
    return None


def class_in(module: types.ModuleType, qualified_name: str) -> type | None:
    """Returns the class at this path, if its own name agrees. For a parametrized generic model (`Box[int]`) that this
    process has not created, returns the generic model itself."""
    name, bracket, _ = qualified_name.partition("[")
    found: Any = module_dict(module)
    for part in name.split("."):
        if isinstance(found, type):
            found = _type_attribute(found, "__dict__")
        elif not isinstance(found, dict):
            return None
        found = found.get(part)
    if not isinstance(found, type) or name_of(found) != (module_name(module), name):
        return None
    return _parametrized(found, qualified_name) if bracket else found


def module_name(module: types.ModuleType) -> str:
    name = module_dict(module).get("__name__")
    return name if type(name) is str else ""


def module_file(module: types.ModuleType) -> str | None:
    file = module_dict(module).get("__file__")
    return file if type(file) is str else None


def imported_module(name: str) -> types.ModuleType | None:
    """The module, if this process has imported it."""
    found = sys.modules.get(name)
    return found if found is not None and types.ModuleType in mro_of(type(found)) else None


def _parametrized(generic: type, qualified_name: str) -> type:
    full_name = (name_of(generic)[0], qualified_name)
    subclasses: list[type] = type.__subclasses__(generic)
    matches = [cls for cls in subclasses if name_of(cls) == full_name and _is_parametrized(cls, generic)]
    return matches[0] if len(matches) == 1 else generic


def _is_parametrized(cls: type, generic: type) -> bool:
    metadata = _type_attribute(cls, "__dict__").get("__pydantic_generic_metadata__")
    return type(metadata) is dict and metadata.get("origin") is generic
