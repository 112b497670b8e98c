"""Reads values that `langgraph-checkpoint-redis` wrote itself, strictly.

That package stores objects as JSON objects with marker members, which any user's JSON can imitate. So a marked object
is rebuilt only if `ClassAllowlist` contains its class; otherwise it stays plain data. The package stores a Decimal, a
timedelta, a frozenset and a path without their content. These stay the marked JSON object, and never become an empty
value.
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
from langgraph.checkpoint.serde.types import INTERRUPT, _DeltaSnapshot
from langgraph.types import Interrupt, Send

from slipway.errors import StoredDataError
from slipway.serialization.class_allowlist import ALWAYS, Reference
from slipway.serialization.objects import NotRebuildable
from slipway.serialization.serde import Serde

_SINGLE, _POSITIONAL, _DELTA = 0, 1, 7
_CONSTRUCTORS: Final = frozenset({_SINGLE, _POSITIONAL, 2, 4, 5, _DELTA})
"""Types of LangGraph's MessagePack format whose values contain other values."""

_SET: Final = ["builtins", "set"]


class ForeignValues:
    def __init__(self, serde: Serde) -> None:
        self._serde, self._allowed = serde, serde.allowed
        self._packed = JsonPlusSerializer(__unpack_ext_hook__=self._unpack)
        self._library = JsonPlusSerializer(allowed_msgpack_modules=None)._unpack_ext_hook

    def load(self, kind: str, data: bytes) -> Any:
        """Decodes a typed value. Raises `StoredDataError` when it is damaged or in a format that is not safe to
        read."""
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
        raise StoredDataError(f"a stored value is in the format {kind!r}, which this checkpointer does not read")

    def _unpack(self, code: int, data: bytes) -> Any:
        """Decodes an extension value of LangGraph's MessagePack format. Constructs only the classes that LangGraph
        lists as safe; rebuilds objects of other allowed classes without running their code."""
        if code not in _CONSTRUCTORS:
            return self._library(code, data)
        content = ormsgpack.unpackb(data, ext_hook=self._unpack, option=ormsgpack.OPT_NON_STR_KEYS)
        if code == _DELTA:
            return _DeltaSnapshot(content)
        module, name, payload = content[:3]
        if (module, name) not in SAFE_MSGPACK_TYPES:
            return self._serde.rebuilt_by_name((str(module), str(name)), payload)
        cls = getattr(importlib.import_module(module), name)
        if code == _POSITIONAL:
            *args, timeout = (*payload, None) if name != "Send" or len(payload) < 3 else payload
            return cls(*args) if timeout is None else cls(*args, timeout=timeout)
        return cls(payload) if code == _SINGLE else cls(**payload)

    def revive(self, value: Any) -> Any:
        """Rebuilds the marked objects in parsed JSON, innermost first."""
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
        """Returns the object that `shape` describes, or `shape` itself if it cannot be rebuilt."""
        class_path, args, kwargs = shape.get("id"), shape.get("args") or [], shape.get("kwargs") or {}
        try:
            if class_path == _SET:
                return set(args[0] if args else kwargs["__set_items__"])
            if not isinstance(class_path, list) or not all(isinstance(part, str) for part in class_path):
                return shape
            *module, name = SERIALIZABLE_MAPPING.get(tuple(class_path), tuple(class_path))
            return self._build(_reference(".".join(module), name), args, kwargs)
        except (NotRebuildable, LookupError, TypeError, ValueError):
            return shape

    def _build(self, reference: Reference, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Constructs LangChain's and LangGraph's own objects; rebuilds those of other allowed classes without running
        their code."""
        cls = self._allowed.resolve_json(reference)
        if isinstance(reference, int):
            return cls(*args, **kwargs)
        (payload,) = args or (kwargs,)
        return self._serde.rebuilt(cls, payload)


def _reference(module: str, name: str) -> Reference:
    """Maps a class path to its reference. The JSON names some classes by the package that re-exports them."""
    for position, (class_module, class_name) in enumerate(ALWAYS):
        if class_name == name and (class_module == module or class_module.startswith(f"{module}.")):
            return position
    return module, name


def _marked(shape: dict[str, Any]) -> Any:
    """Rebuilds LangGraph's own types, each of which has its own marker member."""
    if shape.get(INTERRUPT) is True and "value" in shape:
        return Interrupt(**{name: shape[name] for name in ("value", "id") if name in shape})
    if shape.get("__send__") is True and shape.keys() == {"__send__", "node", "arg"}:
        return Send(shape["node"], shape["arg"])
    if shape.get("__delta_snapshot__") is True and shape.keys() == {"__delta_snapshot__", "value"}:
        return _DeltaSnapshot(shape["value"])
    return shape
