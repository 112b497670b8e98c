"""Values that `langgraph-checkpoint-redis` wrote itself, read strictly.

That package keeps values as JSON in which a class is told by the shape of an object, which any user's JSON can imitate.
So a shape only comes to life when it names a class that `ClassAllowlist` knows, and stays plain data otherwise; what
the package stored without its content (a Decimal, a timedelta, a frozenset, a path) stays the shape it left, and never
becomes an empty value.
"""

from __future__ import annotations

import base64
import importlib
from typing import Any, Final

import orjson
import ormsgpack
from langchain_core.load.mapping import SERIALIZABLE_MAPPING
from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_TYPES
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.types import Interrupt, Send

from slipway.errors import StoredDataError
from slipway.serialization.class_allowlist import ALWAYS, Reference
from slipway.serialization.objects import NotRebuildable
from slipway.serialization.serde import Serde

_SINGLE, _POSITIONAL, _DELTA = 0, 1, 7
_CONSTRUCTORS: Final = frozenset({_SINGLE, _POSITIONAL, 2, 4, 5, _DELTA})
"""Types of LangGraph's MessagePack format whose values hold other values."""

_SET: Final = ["builtins", "set"]


class Foreign:
    """Reads what the package wrote; nothing is ever written so."""

    def __init__(self, serde: Serde) -> None:
        self._serde, self._allowed = serde, serde.allowed
        self._packed = JsonPlusSerializer(__unpack_ext_hook__=self._unpack)
        self._library = JsonPlusSerializer(allowed_msgpack_modules=None)._unpack_ext_hook

    def load(self, kind: str, data: bytes) -> Any:
        """A typed value. `StoredDataError` when it is damaged or of a kind that is not safe to read."""
        try:
            if kind == "null":
                return None
            if kind in ("bytes", "bytearray"):
                return data if kind == "bytes" else bytearray(data)
            if kind == "json":
                return self.revive(orjson.loads(data))
            if kind == "msgpack":
                return self._packed.loads_typed((kind, data))
        except (ValueError, TypeError) as error:
            raise StoredDataError(f"a stored value is damaged: {error}") from error
        raise StoredDataError(f"a stored value is in the format {kind!r}, which is not read")

    def _unpack(self, code: int, data: bytes) -> Any:
        """A value that LangGraph's MessagePack format marks. Only classes that it calls safe are constructed; those of
        the graphs are rebuilt without running their code."""
        if code not in _CONSTRUCTORS:
            return self._library(code, data)
        held = ormsgpack.unpackb(data, ext_hook=self._unpack, option=ormsgpack.OPT_NON_STR_KEYS)
        if code == _DELTA:
            return _DeltaSnapshot(held)
        module, name, payload = held[:3]
        if (module, name) not in SAFE_MSGPACK_TYPES:
            return self._serde.rebuilt_by_name((str(module), str(name)), payload)
        make = getattr(importlib.import_module(module), name)
        if code == _POSITIONAL:
            *args, timeout = (*payload, None) if name != "Send" or len(payload) < 3 else payload
            return make(*args) if timeout is None else make(*args, timeout=timeout)
        return make(payload) if code == _SINGLE else make(**payload)

    def revive(self, value: Any) -> Any:
        """Parsed JSON with its objects made again, innermost first."""
        if isinstance(value, list):
            return [self.revive(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.keys() == {"__bytes__"} and isinstance(value["__bytes__"], str):
            return base64.b64decode(value["__bytes__"])
        inner = {name: self.revive(item) for name, item in value.items()}
        if inner.get("lc") in (1, 2) and inner.get("type") == "constructor":
            return self._constructed(inner)
        return _marked(inner)

    def _constructed(self, shape: dict[str, Any]) -> Any:
        """What the shape names, or the shape."""
        ident, args, kwargs = shape.get("id"), shape.get("args") or [], shape.get("kwargs") or {}
        try:
            if ident == _SET:
                return set(args[0] if args else kwargs["__set_items__"])
            if not isinstance(ident, list) or not all(isinstance(part, str) for part in ident):
                return shape
            *module, name = SERIALIZABLE_MAPPING.get(tuple(ident), tuple(ident))
            return self._made(_reference(".".join(module), name), args, kwargs)
        except (NotRebuildable, LookupError, TypeError, ValueError):
            return shape

    def _made(self, reference: Reference, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """An object of an allowed class. Only LangChain's and LangGraph's own are constructed, the others rebuilt."""
        cls = self._allowed.resolve_json(reference)
        if isinstance(reference, int):
            return cls(*args, **kwargs)
        (payload,) = args or (kwargs,)
        return self._serde.rebuilt(cls, payload)


def _reference(module: str, name: str) -> Reference:
    """Shapes name some classes by the package that shows them."""
    for position, (home, called) in enumerate(ALWAYS):
        if called == name and (home == module or home.startswith(f"{module}.")):
            return position
    return module, name


def _marked(shape: dict[str, Any]) -> Any:
    """LangGraph's own types, each of which the package marks in its own way."""
    if shape.get("__interrupt__") is True and "value" in shape:
        given = {name: shape[name] for name in ("value", "id") if name in shape}
        return Interrupt(**given)
    if shape.get("__send__") is True and shape.keys() == {"__send__", "node", "arg"}:
        return Send(shape["node"], shape["arg"])
    if shape.get("__delta_snapshot__") is True and shape.keys() == {"__delta_snapshot__", "value"}:
        return _DeltaSnapshot(shape["value"])
    return shape
