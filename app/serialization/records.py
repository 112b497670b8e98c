"""How objects of allowed classes are taken apart for storage and put together again, by the kind of class.

Putting together runs no code of the class where the stored fields are exactly the class's own: models are not validated
again, and dataclasses skip `__init__`. Where the class has changed since (or keeps private state) its constructor
decides: it fills defaults, ignores what is gone, and what it refuses is a `StoredDataError`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import Enum
from typing import Any

from langgraph.store.base import Item
from pydantic import BaseModel, SecretBytes, SecretStr

from app.errors import StateRefused, StoredDataError

Shape = tuple[Callable[[Any], Any], Callable[[Any], Any]]
"""Takes an object apart into a plain payload, and puts a payload together."""

_set = object.__setattr__


def shape_of(cls: type) -> Shape | None:
    """How to store objects of this class, or None when it is of no kind that can be stored."""
    if issubclass(cls, BaseModel):
        return _model(cls)
    if issubclass(cls, Enum):
        return (lambda member: member.value), cls
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return (lambda record: record._asdict()), (lambda fields: cls(**fields))
    if dataclasses.is_dataclass(cls):
        return _dataclass(cls)
    if issubclass(cls, SecretStr | SecretBytes):
        return (lambda secret: secret.get_secret_value()), cls
    if issubclass(cls, Item):
        return (lambda item: {name: getattr(item, name) for name in Item.__slots__}), (lambda fields: cls(**fields))
    if cls.__module__ == "langgraph.types" and cls.__name__ == "Send":
        return _send(cls)
    if hasattr(cls, "__fields__") and hasattr(cls, "construct"):  # pydantic.v1
        return (lambda model: dict(model.__dict__)), (lambda fields: cls.construct(**fields))
    return None


def _model(cls: type[BaseModel]) -> Shape:
    names = cls.model_fields.keys()
    extra_allowed = cls.model_config.get("extra") == "allow"
    simple = not cls.__private_attributes__ and cls.model_post_init is BaseModel.model_post_init

    def apart(model: Any) -> Any:
        fields = model.__dict__
        if fields.keys() != names:  # cached properties live there too
            fields = {name: fields[name] for name in names if name in fields}
        extra = model.__pydantic_extra__
        return (fields, extra) if extra else (fields,)

    def together(payload: Any) -> Any:
        fields = payload[0]
        extra = payload[1] if len(payload) > 1 else {}
        if not simple or fields.keys() != names or (extra and not extra_allowed):
            return cls.model_validate(fields | extra, by_name=True, by_alias=True)
        model = cls.__new__(cls)
        _set(model, "__dict__", fields)
        _set(model, "__pydantic_fields_set__", set(fields) | set(extra))
        _set(model, "__pydantic_extra__", extra if extra_allowed else None)
        _set(model, "__pydantic_private__", None)
        return model

    return apart, together


def _dataclass(cls: type) -> Shape:
    fields = dataclasses.fields(cls)
    names = [field.name for field in fields]
    given = {field.name for field in fields if field.init}
    simple = not hasattr(cls, "__post_init__")

    def apart(record: Any) -> Any:
        return {name: getattr(record, name) for name in names if hasattr(record, name)}

    def together(payload: Any) -> Any:
        record: Any
        if simple and len(payload) == len(names) and all(name in payload for name in names):
            record = object.__new__(cls)
        else:
            record = cls(**{name: value for name, value in payload.items() if name in given})
        for name in names:
            if name in payload:
                _set(record, name, payload[name])
        return record

    return apart, together


def _send(cls: type) -> Shape:
    def apart(send: Any) -> Any:
        timeout = getattr(send, "timeout", None)
        return (send.node, send.arg) if timeout is None else (send.node, send.arg, timeout)

    def together(payload: Any) -> Any:
        return cls(*payload[:2]) if len(payload) == 2 else cls(*payload[:2], timeout=payload[2])

    return apart, together


class Shapes:
    """The shapes of classes, looked up once."""

    def __init__(self) -> None:
        self._known: dict[type, Shape] = {}

    def of(self, cls: type) -> Shape:
        """`StateRefused` for a class whose objects cannot be taken apart."""
        shape = self._known.get(cls)
        if shape is None:
            shape = shape_of(cls)
            if shape is None:
                raise StateRefused(
                    f"the state holds a {cls.__module__}.{cls.__qualname__}, which cannot be stored: use plain data, "
                    "a pydantic model, a dataclass, an enum or a named tuple"
                )
            self._known[cls] = shape
        return shape

    def together(self, cls: type, payload: Any) -> Any:
        """The object that a payload describes; `StoredDataError` when the class refuses it."""
        try:
            return self.of(cls)[1](payload)
        except Exception as error:
            raise StoredDataError(
                f"a stored {cls.__module__}.{cls.__qualname__} does not fit the class: {error}"
            ) from error
