"""Takes objects of data classes apart for storage, and rebuilds them, for each kind of class.

Rebuilding runs no code of the class. Models are not validated, and `__init__`, `__new__`, `__post_init__`,
`__setattr__`, `_missing_` and descriptors are not called: values are written where instances of the class store them. A
field that the class has gained since gets its default. If it has no default, `NotRebuildable` is raised.

A model or dataclass is stored as its fields, or as a tuple of its fields, its extra fields and its hidden attributes
(the private attributes of a model, and the attributes of a dataclass that are not fields).
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import sys
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, Protocol, cast

from langgraph.store.base import Item
from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_core import PydanticUndefined

from slipway.serialization.data_classes import class_attribute, kind_of, mro_of, name_of

ObjectCodec = tuple[Callable[[Any], Any], Callable[[Any], Any]]
"""Two functions: take an object apart into a plain payload, and rebuild it from one (raises `NotRebuildable`)."""

Parts = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
"""The fields, extra fields and hidden attributes of an object, by name."""

_MISSING: Final = object()
_set: Final = object.__setattr__


class NotRebuildable(Exception):
    """A stored value cannot be rebuilt as an object. The message has the reason and no values."""


class RebuildContext(Protocol):
    """What the functions of this module need from the serializer."""

    def storable(self, value: Any) -> bool:
        """See `Serde.storable`."""
        ...

    def copied(self, value: Any) -> Any:
        """The value as it would be read after it was stored."""
        ...

    def may_be_incomplete(self, cls: type) -> bool:
        """Whether a model is rebuilt without fields that were not stored and have no default."""
        ...

    def report_omitted(self, cls: type, names: Iterable[str], why: str) -> None:
        """Reports attributes of an object that are not stored, or not restored."""
        ...


def codec_of(cls: type, context: RebuildContext) -> ObjectCodec | None:
    """None when this is not a data class."""
    if issubclass(cls, SecretStr | SecretBytes):
        return (lambda secret: secret.get_secret_value()), cls
    if issubclass(cls, Item):
        names = [name for base in mro_of(cls) for name in getattr(base, "__slots__", ())]
        return (lambda item: {name: getattr(item, name) for name in names}), (lambda fields: cls(**fields))
    if name_of(cls) == ("langgraph.types", "Send"):
        return _send(cls)
    match kind_of(cls):
        case "model":
            return _model(cls, context)
        case "model of pydantic.v1":
            return _model_v1(cls, context)
        case "enum":
            return (lambda member: member._value_), _Members(cast("type[enum.Enum]", cls))
        case "named tuple":
            return _named_tuple(cls, context)
        case "dataclass":
            return _dataclass(cls, context)
    return None


def plain_of(payload: Any) -> Any:
    """A stored object as plain data: a dictionary of its fields, or the value of an enum."""
    try:
        fields, extra, _ = parts_of(payload)
    except NotRebuildable:
        return payload
    return fields | extra if extra else fields


def parts_of(payload: Any) -> Parts:
    """The parts of a stored object that has fields."""
    parts = payload if type(payload) is tuple else (payload,)
    if not 1 <= len(parts) <= 3 or not all(type(part) is dict for part in parts):
        raise NotRebuildable("the stored value has no fields")
    return (*parts, *({} for _ in range(3 - len(parts))))


def construct(cls: type, payload: Any) -> Any:
    """Constructs an object by calling its class. Only for classes of LangChain and LangGraph."""
    fields, extra, _ = parts_of(payload)
    if issubclass(cls, BaseModel):
        return cls.model_validate(fields | extra, by_name=True, by_alias=True)
    given = {field.name for field in dataclasses.fields(cls) if field.init} if dataclasses.is_dataclass(cls) else fields
    return cls(**{name: value for name, value in fields.items() if name in given})


# pydantic


def _model(cls: Any, context: RebuildContext) -> ObjectCodec:
    fields_of_class = cls.model_fields
    names = fields_of_class.keys()
    extra_allowed = cls.model_config.get("extra") == "allow"
    private = cls.__private_attributes__

    def take_apart(model: Any) -> Any:
        fields = model.__dict__
        if fields.keys() != names:  # cached properties are stored there too
            fields = {name: fields[name] for name in names if name in fields}
        extra = model.__pydantic_extra__
        if private and model.__pydantic_private__:
            return (fields, extra or {}, _storable(cls, model.__pydantic_private__, context))
        return (fields, extra) if extra else (fields,)

    def rebuild(payload: Any) -> Any:
        """Creates an object of the class from its stored payload, without calling its constructor."""
        parts: Parts
        if type(payload) is tuple and len(payload) == 1 and type(payload[0]) is dict:  # nearly always
            parts = payload[0], {}, {}
        else:
            parts = parts_of(payload)
        fields, extra, hidden = parts
        if fields.keys() != names or (extra and not extra_allowed):
            unset = names if context.may_be_incomplete(cls) else ()
            fields, extra = _matching_fields(fields | extra, names, default, unset)
            if missing := names - fields.keys():
                context.report_omitted(cls, missing, "nothing was stored for fields without a default; they stay unset")
            if extra and not extra_allowed:
                context.report_omitted(cls, extra, "the class has no such field any more")
                extra = {}
        model = object.__new__(cls)
        _set(model, "__dict__", fields)
        _set(model, "__pydantic_fields_set__", {*fields, *extra} if extra else set(fields))
        _set(model, "__pydantic_extra__", extra if extra_allowed else None)
        _set(model, "__pydantic_private__", _private(private, hidden, context) if private else None)
        return model

    def default(name: str) -> Any:
        return _default(fields_of_class[name], PydanticUndefined, context)

    return take_apart, rebuild


def _private(attributes: Mapping[str, Any], hidden: Mapping[str, Any], context: RebuildContext) -> dict[str, Any]:
    """The private attributes of a model. Those that were not stored get their default, or stay unset."""
    held = {}
    for name, attribute in attributes.items():
        value = hidden[name] if name in hidden else _default(attribute, PydanticUndefined, context)
        if value is not _MISSING:
            held[name] = value
    return held


def _model_v1(cls: Any, context: RebuildContext) -> ObjectCodec:
    fields_of_class = cls.__fields__
    names = fields_of_class.keys()
    private = {name: class_attribute(cls, name) for name in cls.__private_attributes__}
    extra_allowed = getattr(cls.__config__.extra, "value", None) == "allow"

    def take_apart(model: Any) -> Any:
        held = {name: value for name in private if (value := getattr(model, name, _MISSING)) is not _MISSING}
        return (dict(model.__dict__), {}, _storable(cls, held, context)) if held else dict(model.__dict__)

    def rebuild(payload: Any) -> Any:
        """Creates an object of the class from its stored payload, without calling its constructor."""
        stored, extra, hidden = parts_of(payload)
        fields, extra = _matching_fields(stored | extra, names, default)
        if extra and not extra_allowed:
            context.report_omitted(cls, extra, "the class has no such field any more")
            extra = {}
        model = object.__new__(cls)
        _set(model, "__dict__", fields | extra)
        _set(model, "__fields_set__", {*fields, *extra})
        for name, value in _private(cls.__private_attributes__, hidden, context).items():
            private[name].__set__(model, value)
        return model

    def default(name: str) -> Any:
        field = fields_of_class[name]
        return _MISSING if field.required else _default(field, _MISSING, context)

    return take_apart, rebuild


# dataclasses


def _dataclass(cls: type, context: RebuildContext) -> ObjectCodec:
    declared = {field.name: field for field in dataclasses.fields(cast(Any, cls))}
    names = declared.keys()
    slots, dict_of = _slots(cls), _instance_dict(cls)
    may_be_unset = {field.name for field in declared.values() if not field.init}
    described = {name for name in names if name not in slots and _is_data_descriptor(class_attribute(cls, name))}
    simple = dict_of if not slots and not described else None

    def take_apart(record: Any) -> Any:
        held = {} if dict_of is None else dict_of(record)
        if simple is not None and held.keys() == names:
            return held
        held = {**held, **dict(_slot_values(slots, record))}
        fields = {name: held[name] if name in held else getattr(record, name, _MISSING) for name in names}
        fields = {name: value for name, value in fields.items() if value is not _MISSING}
        beside = {name: value for name, value in held.items() if name not in names and not _is_cached(cls, name)}
        return (fields, {}, _storable(cls, beside, context)) if beside else fields

    def rebuild(payload: Any) -> Any:
        """Creates an object of the class from its stored payload, without calling its constructor."""
        if simple is not None and type(payload) is dict and payload.keys() == names:  # nearly always
            record = _empty(cls)
            simple(record).update(payload)
            return record
        fields, extra, hidden = parts_of(payload)
        if extra or fields.keys() != names:
            fields, extra = _matching_fields(fields | extra, names - described, default, may_be_unset)
            if gone := extra.keys() - described:
                context.report_omitted(cls, gone, "the class has no such field any more")
        record = _empty(cls)
        held = {} if dict_of is None else dict_of(record)
        for name, value in (*_settable(hidden), *fields.items()):
            if name in slots:
                slots[name].__set__(record, value)
            elif name not in described and dict_of is not None:
                held[name] = value
        return record

    def default(name: str) -> Any:
        return _default(declared[name], dataclasses.MISSING)

    return take_apart, rebuild


def _empty(cls: type) -> Any:
    try:
        return object.__new__(cls)
    except TypeError as error:
        raise NotRebuildable("the class is abstract, or is built on a type that needs its own constructor") from error


def _slots(cls: type) -> dict[str, Any]:
    """The descriptors of the slots in which instances of the class store values."""
    found = {}
    for base in mro_of(cls):
        for name, attribute in type.__getattribute__(base, "__dict__").items():
            if type(attribute) is types.MemberDescriptorType and class_attribute(cls, name) is attribute:
                found[name] = attribute
    return found


def _slot_values(slots: Mapping[str, Any], record: Any) -> Iterable[tuple[str, Any]]:
    for name, slot in slots.items():
        try:
            yield name, slot.__get__(record)
        except AttributeError:  # never set
            continue


def _instance_dict(cls: type) -> Callable[[Any], dict[str, Any]] | None:
    """A function that reads an instance's `__dict__` without code of the class; None if instances have none."""
    found = class_attribute(cls, "__dict__")
    return found.__get__ if type(found) is types.GetSetDescriptorType else None


def _is_data_descriptor(attribute: Any) -> bool:
    return class_attribute(type(attribute), "__set__") is not None


def _is_cached(cls: type, name: str) -> bool:
    return type(class_attribute(cls, name)) is functools.cached_property


def _settable(hidden: Mapping[Any, Any]) -> Iterable[tuple[str, Any]]:
    """The hidden attributes that may be set. Names that Python itself reads (`__…__`) are omitted."""
    return ((name, value) for name, value in hidden.items() if type(name) is str and not name.startswith("__"))


# named tuples and enums


def _named_tuple(cls: Any, context: RebuildContext) -> ObjectCodec:
    names = dict.fromkeys(class_attribute(cls, "_fields")).keys()
    defaults = class_attribute(cls, "_field_defaults")
    defaults = defaults if type(defaults) is dict else {}

    def take_apart(record: Any) -> Any:
        return dict(zip(names, tuple.__iter__(record), strict=True))

    def rebuild(payload: Any) -> Any:
        """Creates an object of the class from its stored payload, without calling its constructor."""
        fields, extra, _ = parts_of(payload)
        if extra or fields.keys() != names:
            fields, extra = _matching_fields(fields | extra, names, lambda name: defaults.get(name, _MISSING))
            if extra:
                context.report_omitted(cls, extra, "the class has no such field any more")
        return tuple.__new__(cls, [fields[name] for name in names])

    return take_apart, rebuild


class _Members:
    """Finds the member of an enum by its value, without calling `_missing_` of the class. Combinations of flags are
    created by Python's own rule."""

    def __init__(self, cls: type[enum.Enum]) -> None:
        self._cls = cls
        self._by_value: Mapping[Any, enum.Enum] = class_attribute(cls, "_value2member_map_")
        self._by_name: Mapping[str, enum.Enum] = class_attribute(cls, "_member_map_")

    def __call__(self, value: Any) -> enum.Enum:
        try:
            found = self._by_value.get(value)
        except TypeError:  # not hashable
            found = next((one for one in self._by_name.values() if _equal(one._value_, value)), None)
        if found is None and type(value) is int:
            found = self._combination(value)
        if found is None:
            raise NotRebuildable("the enum has no member with the stored value")
        return found

    def _combination(self, value: int) -> enum.Enum | None:
        if enum.Flag not in mro_of(self._cls) or class_attribute(self._cls, "_member_type_") not in (int, object):
            return None
        try:
            return cast(enum.Enum, cast(Any, enum.Flag._missing_).__func__(self._cls, value))
        except ValueError:
            return None


def _equal(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _send(cls: type) -> ObjectCodec:
    def take_apart(send: Any) -> Any:
        timeout = getattr(send, "timeout", None)
        return (send.node, send.arg) if timeout is None else (send.node, send.arg, timeout)

    def rebuild(payload: Any) -> Any:
        """Creates a `Send` from its stored payload."""
        return cls(*payload[:2]) if len(payload) == 2 else cls(*payload[:2], timeout=payload[2])

    return take_apart, rebuild


# fields that changed


def _matching_fields(
    stored: dict[str, Any],
    names: Iterable[str],
    default: Callable[[str], Any],
    may_be_unset: Collection[str] = (),
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of the class, with defaults for those that were not stored; and the stored fields that it lacks."""
    fields: dict[str, Any] = {}
    missing = []
    for name in names:
        value = stored[name] if name in stored else default(name)
        if value is not _MISSING:
            fields[name] = value
        elif name not in may_be_unset:
            missing.append(name)
    if missing:
        raise NotRebuildable(f"nothing was stored for {', '.join(missing)}, which {_has(missing)} no default")
    return fields, {name: value for name, value in stored.items() if name not in fields}


def _has(names: list[str]) -> str:
    return "has" if len(names) == 1 else "have"


def _default(declared: Any, undefined: Any, context: RebuildContext | None = None) -> Any:
    """The default of a field, or `_MISSING`. A factory is called only if it belongs to Python (`list`, `uuid4`). With
    `context` the default is copied, as pydantic does."""
    if declared.default is not undefined:
        return declared.default if context is None else _fresh(declared.default, context)
    factory = declared.default_factory
    if factory is None or factory is undefined or not _is_of_python(factory):
        return _MISSING
    try:
        return factory()
    except Exception:  # a factory that expects the other fields
        return _MISSING


def _fresh(default: Any, context: RebuildContext) -> Any:
    if default is None or type(default) in (bool, int, float, str, bytes) or not context.storable(default):
        return default
    copied = context.copied(default)
    return copied if type(copied) is type(default) else default


def _is_of_python(factory: Any) -> bool:
    owner = getattr(factory, "__self__", None) if type(factory) is types.BuiltinMethodType else factory
    if type(owner) is types.ModuleType:
        return owner.__name__.partition(".")[0] in sys.stdlib_module_names
    if type(owner) not in (type, types.FunctionType, types.BuiltinFunctionType):
        return False
    return str(owner.__module__).partition(".")[0] in sys.stdlib_module_names


def _storable(cls: type, held: Mapping[str, Any], context: RebuildContext) -> dict[str, Any]:
    kept = {name: value for name, value in held.items() if context.storable(value)}
    if len(kept) < len(held):
        why = "they are no data; when the object is read back they have their defaults or are unset"
        context.report_omitted(cls, held.keys() - kept.keys(), why)
    return kept
