"""State values as bytes and back: MessagePack, with extension types for what MessagePack lacks.

Every type that LangGraph's own serializer keeps comes back as it was, and tuples, `deque.maxlen`, time zones, integers
of any size and lone surrogates besides. Plain data never turns into anything else: what an object is told by an
extension type, which no JSON can imitate. Classes come back only if `Allowed` knows them; other classes are refused
when they are written (`StateRefused`), and again when they are read (`StoredDataError`). There is no pickle.

As with LangGraph's serializer an exception becomes its `repr`, subclasses of `dict`, `list`, `str` and `int` become
the plain type, a `bytearray` inside a value becomes `bytes`, and dictionary keys that are dates or UUIDs become text,
those that are enums their values.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import ormsgpack

from app.errors import SlipwayError, StateRefused, StoredDataError
from app.exception_text import class_name, is_a, message_of, repr_of
from app.serialization import serde_types
from app.serialization.allowed import Allowed, Reference
from app.serialization.records import Shapes
from app.serialization.sealing import MARK, Seal

TYPE: Final = "slipway"
"""What `dumps_typed` calls the format."""

_RECORD: Final = 64
_BYTEARRAY: Final = 65
_SURROGATES: Final = 66

_PACK: Final = (
    ormsgpack.OPT_NON_STR_KEYS
    | ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)
_UNPACK: Final = ormsgpack.OPT_NON_STR_KEYS


class Serde:
    """LangGraph's serializer protocol, and `dumps`/`loads` for who needs no type beside the bytes."""

    def __init__(self, allowed: Allowed | None = None, seal: Seal | None = None) -> None:
        self.allowed = allowed or Allowed()
        self._seal = seal
        self._shapes = Shapes()
        self._encoders: dict[type, Callable[[Any], Any]] = {}
        self._problem: SlipwayError | None = None

    def dumps(self, value: Any) -> bytes:
        """`value` as bytes, sealed when there is a key. `StateRefused` for what could not be read back."""
        packed = self._pack(ormsgpack.Ext(_BYTEARRAY, bytes(value)) if type(value) is bytearray else value)
        return packed if self._seal is None else self._seal.seal(packed)

    def loads(self, data: bytes) -> Any:
        """What `dumps` was given. `StoredDataError` when that cannot be told safely."""
        if data[:1] == MARK:
            if self._seal is None:
                raise StoredDataError("a stored value is sealed, and there is no encryption_key")
            data = self._seal.open(data)
        try:
            return ormsgpack.unpackb(data, ext_hook=self._hook, option=_UNPACK)
        except Exception as error:
            problem, self._problem = self._problem, None
            raise problem or StoredDataError(f"a stored value is damaged: {error}") from error

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """As LangGraph's protocol has it."""
        return TYPE, self.dumps(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """As LangGraph's protocol has it."""
        if data[0] != TYPE:
            raise StoredDataError(f"a stored value is in the format {data[0]!r}, not {TYPE!r}")
        return self.loads(data[1])

    # writing

    def _pack(self, value: Any) -> bytes:
        try:
            return ormsgpack.packb(value, self._default, _PACK)
        except TypeError as error:
            if self._problem is not None:  # ormsgpack forgets what went wrong in a callback
                problem, self._problem = self._problem, None
                raise problem from None
            if "surrogates" in str(error):
                return ormsgpack.packb(_without_surrogates(value), self._default, _PACK)
            raise StateRefused(f"the state holds a value that cannot be stored: {error}") from error

    def _default(self, value: Any) -> Any:
        if is_a(value, BaseException):  # before its class is asked for anything
            return repr_of(value)
        try:
            encoder = self._encoders.get(type(value))
            if encoder is None:
                encoder = self._encoders[type(value)] = self._encoder(type(value))
            return encoder(value)
        except BaseException as error:  # the graph's own code may be asked, and may raise anything
            self._problem = error if isinstance(error, SlipwayError) else _refusal(value, error)
            raise self._problem from None

    def _encoder(self, cls: type) -> Callable[[Any], Any]:
        builtin = serde_types.writer_of(cls)
        if builtin is not None:
            code, apart = builtin
            return lambda value: ormsgpack.Ext(code, self._pack(apart(value)))
        apart = self._shapes.of(cls)[0]
        reference = self.allowed.reference(cls)
        stored = reference if isinstance(reference, int) else list(reference)
        return lambda value: ormsgpack.Ext(_RECORD, self._pack([stored, apart(value)]))

    # reading

    def _hook(self, code: int, data: bytes) -> Any:
        try:
            return self._read(code, data)
        except Exception as error:
            if isinstance(error, SlipwayError):
                self._problem = error
            raise

    def _read(self, code: int, data: bytes) -> Any:
        if code == _BYTEARRAY:
            return bytearray(data)
        if code == _SURROGATES:
            return bytes(data).decode("utf-8", "surrogatepass")
        payload = ormsgpack.unpackb(data, ext_hook=self._hook, option=_UNPACK)
        if code == _RECORD:
            reference, fields = payload
            return self._shapes.together(self.allowed.resolve(_reference(reference)), fields)
        reader = serde_types.READERS.get(code)
        if reader is None:
            raise StoredDataError(f"a stored value has the unknown type {code}")
        return reader(payload)


def _reference(stored: Any) -> Reference:
    if isinstance(stored, int):
        return stored
    module, name = stored
    return str(module), str(name)


def _refusal(value: Any, error: BaseException) -> StateRefused:
    return StateRefused(f"the state holds a {class_name(value)} that cannot be stored: {message_of(error)}")


_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def _without_surrogates(value: Any) -> Any:
    """Plain data whose strings MessagePack refuses, with those as an extension. Rare, so it may be slow."""
    if isinstance(value, str):
        return ormsgpack.Ext(_SURROGATES, value.encode("utf-8", "surrogatepass")) if _SURROGATE.search(value) else value
    if isinstance(value, dict):
        if any(isinstance(key, str) and _SURROGATE.search(key) for key in value):
            raise StateRefused("a dictionary key in the state holds half a surrogate pair, which is not valid text")
        return {key: _without_surrogates(item) for key, item in value.items()}
    if type(value) is list:
        return [_without_surrogates(item) for item in value]
    return value
