"""Finds the objects that the code of a function refers to, from its bytecode.

Objects are found through names of modules, closures, `self`, imports inside the function, and attributes of these. They
come in the order in which the source text refers to them: the order of the bytecode is another one in each version of
Python, which also compiles some parts twice. Nothing of the project is called: attributes are read without descriptors.
"""

from __future__ import annotations

import dis
import inspect
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

NOTHING: Final = object()
"""Stands for an object that is not known, because None is one that may be known."""

_DEREFS: Final = frozenset({"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"})
_ATTRIBUTES: Final = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_CONSTANTS: Final = frozenset({"LOAD_CONST", "LOAD_SMALL_INT"})
_BETWEEN_IMPORT_AND_STORE: Final = frozenset({"SWAP", "POP_TOP", "COPY"})

Place = tuple[int, int]
"""Line and column of the end of an expression in the source text."""


@dataclass(frozen=True, slots=True, eq=False)
class BoundFunction:
    """A method of the project with its object or class, or a function whose `owner` is `NOTHING`. Equal if both are the
    same."""

    function: types.FunctionType
    owner: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BoundFunction) and _identity(self) == _identity(other)

    def __hash__(self) -> int:
        return hash(_identity(self))

    @classmethod
    def unbound(cls, function: object) -> BoundFunction | None:
        """None for anything but a function that is written in Python."""
        return cls(function, NOTHING) if isinstance(function, types.FunctionType) else None

    @classmethod
    def of(cls, method: object) -> BoundFunction | None:
        """None for anything but a method that is written in Python."""
        if not isinstance(method, types.MethodType) or not isinstance(method.__func__, types.FunctionType):
            return None
        return cls(method.__func__, method.__self__)


def references_of(function: types.FunctionType, owner: object = NOTHING) -> list[object]:
    """The objects in order, each once for each place that refers to it, without modules. `owner` is the value of the
    first parameter. An attribute counts as a reference to its object and to its value."""
    cells = _cells(function)
    first = function.__code__.co_varnames[:1] if function.__code__.co_argcount and owner is not NOTHING else ()
    own = dict.fromkeys(first, owner)
    found: dict[tuple[Place, int, int], tuple[Place, object]] = {}
    for place, value in _Code(function.__code__, function.__globals__, cells | own, own).loaded():
        found.setdefault((place, *_identity(value)), (place, value))
    return [value for _, value in sorted(found.values(), key=lambda each: each[0])]


def named_by(function: types.FunctionType, owner: object = NOTHING) -> Iterator[object]:
    """Everything to which a function may refer: variables of its module and of closures, modules that it imports
    itself, and what these modules, classes among them and its `owner` have under a name in its code. In no order, and
    much cheaper than the references."""
    module, names = function.__globals__, _names_in(function.__code__)
    packages = list(accumulate(str(module.get("__package__") or "").split("."), "{}.{}".format))
    imported = (sys.modules.get(each) for name in names for each in (name, *(f"{root}.{name}" for root in packages)))
    found = [*_cells(function).values(), *(module[name] for name in names if name in module), *imported]
    if owner is not NOTHING:
        found.extend(attribute_of(owner, name) for name in names)
    seen = {id(NOTHING)}
    while found:
        value = found.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, types.ModuleType):
            found.extend(vars(value)[name] for name in names if name in vars(value))
        elif isinstance(value, type):
            found.extend(attribute_of(value, name) for name in names if name in vars(value))


def _names_in(code: types.CodeType) -> set[str]:
    inner = (_names_in(each) for each in code.co_consts if isinstance(each, types.CodeType))
    return set(code.co_names).union(*inner)


def _cells(function: types.FunctionType) -> dict[str, object]:
    cells: dict[str, object] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            cells[name] = cell.cell_contents
        except ValueError:  # a function that is not bound yet
            continue
    return cells


def _identity(value: object) -> tuple[int, int]:
    return (id(value.function), id(value.owner)) if isinstance(value, BoundFunction) else (id(value), 0)


class _Code:
    """One code object, and what is known about its names without executing it."""

    def __init__(
        self,
        code: types.CodeType,
        module: Mapping[str, Any],
        cells: dict[str, object],
        names: Mapping[str, object] | None = None,
    ) -> None:
        self._code, self._module, self._cells = code, module, cells
        self._names = dict(names or {})
        self._imported: object = NOTHING
        """The module of an import statement that is not over yet."""

    def loaded(self) -> Iterator[tuple[Place, object]]:
        """Every object that the code loads, and then those of functions inside it."""
        value: object = NOTHING
        constants: list[object] = [0, None]
        for instruction in dis.get_instructions(self._code):
            if instruction.opname in _CONSTANTS:
                constants = [constants[-1], instruction.argval]
            value = self._step(instruction.opname, instruction.argval, value, constants)
            if value is not NOTHING and not isinstance(value, types.ModuleType) and self._imported is NOTHING:
                yield _place(instruction), value
        for inner in self._code.co_consts:
            if isinstance(inner, types.CodeType):
                yield from _Code(inner, self._module, self._cells).loaded()

    def _step(self, operation: str, argument: Any, value: object, constants: list[object]) -> object:
        """What is known on top of the stack after an instruction. `value` is what was known before."""
        if operation == "IMPORT_NAME":
            self._imported = self._module_of(argument, *constants)
            return self._imported
        if operation == "IMPORT_FROM":
            return self._member(argument)
        if operation.startswith("STORE_"):
            return self._stored(operation, argument, value)
        if operation in _BETWEEN_IMPORT_AND_STORE and self._imported is not NOTHING:
            return value
        self._imported = NOTHING
        if operation == "LOAD_GLOBAL":
            return self._module.get(argument, NOTHING)
        if operation in _DEREFS:
            return self._cells.get(argument, NOTHING)
        if operation.startswith("LOAD_FAST"):
            return self._names.get(argument[-1] if isinstance(argument, tuple) else argument, NOTHING)
        if operation in _ATTRIBUTES and value is not NOTHING:
            return attribute_of(value, argument)
        return NOTHING

    def _module_of(self, name: str, level: object, members: object) -> object:
        """The module that an import statement puts on the stack, if it is imported already."""
        if isinstance(level, int) and level:
            package = str(self._module.get("__package__") or "").split(".")
            name = ".".join([*package[: len(package) - level + 1], *([name] if name else [])])
        return sys.modules.get(name if members else name.partition(".")[0], NOTHING)

    def _member(self, name: str) -> object:
        found = NOTHING if self._imported is NOTHING else attribute_of(self._imported, name)
        if found is NOTHING and isinstance(self._imported, types.ModuleType):
            found = sys.modules.get(f"{self._imported.__name__}.{name}", NOTHING)
        return found

    def _stored(self, operation: str, argument: Any, value: object) -> object:
        """Only names that an import binds are followed: all others may have several values."""
        stored, loaded = argument if isinstance(argument, tuple) else (argument, None)
        if self._imported is not NOTHING and value is not NOTHING:
            (self._cells if operation == "STORE_DEREF" else self._names)[stored] = value
        return self._names.get(loaded, NOTHING) if operation == "STORE_FAST_LOAD_FAST" else NOTHING


def _place(instruction: dis.Instruction) -> Place:
    place = instruction.positions
    if place is None or place.end_lineno is None:
        return (0, instruction.offset)
    return (place.end_lineno, place.end_col_offset or 0)  # no columns if Python was started without them


def attribute_of(value: object, name: str) -> object:
    """The attribute of an object, a class or a module, without calling a descriptor. Functions of a class are bound, to
    the class if there is no object. `NOTHING` if there is none."""
    if isinstance(value, types.ModuleType):
        return vars(value).get(name, NOTHING)
    found = inspect.getattr_static(value, name, NOTHING)
    if isinstance(found, staticmethod):
        return found.__func__
    if isinstance(found, classmethod) and isinstance(found.__func__, types.FunctionType):
        return BoundFunction(found.__func__, value if isinstance(value, type) else type(value))
    if isinstance(found, types.FunctionType) and (isinstance(value, type) or not _is_own(value, name)):
        return BoundFunction(found, value)
    return found


def _is_own(value: object, name: str) -> bool:
    """Whether the attribute is the object's own and not that of its class: such a function is not bound."""
    try:
        return name in object.__getattribute__(value, "__dict__")
    except AttributeError:
        return False
