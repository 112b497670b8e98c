"""Serializes state values: MessagePack, with extension types for values that MessagePack has no type for.

This serializer replaces LangGraph's own for two reasons. LangGraph's constructs objects of stored class names by
calling their constructors, and an object is described by its content, which a user's JSON can imitate; and it changes
some values: tuples, `deque.maxlen`, time zones, large integers and lone surrogates. Here an object is marked by an
extension type, which JSON cannot express, only classes of an allowlist are imported, and none of their code runs.
Pickle is never used.

Objects of data classes (pydantic models, dataclasses, enums, named tuples) are stored with the name of their class.
They are rebuilt if `ClassAllowlist` finds the class and the stored fields match it. Otherwise they are read as plain
data (a dictionary of the fields, or the value of an enum), and a warning is logged. Objects of other classes raise
`StateRefused` when they are written. `StoredDataError` means that stored bytes cannot be read at all.

Like LangGraph's serializer, this one stores an exception as its `repr`, an instance of a subclass of `dict`, `list`,
`str` or `int` as the plain type, and a `bytearray` inside a value as `bytes`. Dictionary keys that are dates or UUIDs
are stored as text, keys that are enums as their values.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

import ormsgpack
from pydantic import SecretBytes, SecretStr

from slipway.errors import SlipwayError, StateRefused, StoredDataError
from slipway.exception_text import class_name, is_a, message_of, repr_of
from slipway.serialization import standard_types
from slipway.serialization.class_allowlist import ClassAllowlist, Reference
from slipway.serialization.compression import (
    compressed,
    compressed_record,
    compressed_similar,
    decompressed,
    plain_size,
)
from slipway.serialization.data_classes import mro_of, name_of
from slipway.serialization.encryption import MARK, Encryption
from slipway.serialization.message_pack_slices import decoded_in_turns
from slipway.serialization.objects import NotRebuildable, ObjectCodec, codec_of, construct, plain_of
from slipway.serialization.slices import LARGE_BYTES, in_turns, is_large, slices_of
from slipway.serialization.unstorable_values import NO_DATA, unstorable_error

TYPE: Final = "slipway"
"""The name of the format for LangGraph."""

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


@dataclass(frozen=True, slots=True)
class UnknownObject:
    """A stored object that was not rebuilt. It can be stored again without a change."""

    reference: Reference
    payload: Any

    def __hash__(self) -> int:
        """Ignores the payload, which may be unhashable: the object may be a member of a set."""
        return hash(self.reference)


class Serde:
    """Implements LangGraph's serializer protocol, and `dumps` and `loads` without a separate type name.

    With `preserve_unknown`, `loads` returns an `UnknownObject` instead of plain data for an object that cannot be
    rebuilt. That is for copying values between checkpointers, not for graphs.
    """

    def __init__(
        self,
        allowed: ClassAllowlist | None = None,
        encryption: Encryption | None = None,
        *,
        preserve_unknown: bool = False,
    ) -> None:
        self.allowed = allowed or ClassAllowlist()
        self._encryption = encryption
        self._preserve_unknown = preserve_unknown
        self._encoders: dict[type, Callable[[Any], Any]] = {}
        self._builders: dict[Reference, Callable[[Any], Any]] = {}
        self._problem: SlipwayError | None = None
        self.message_pack = _MessagePack(self._pack)

    def dumps(self, value: Any) -> bytes:
        """Compresses large values (`compression.py`), and encrypts the bytes if there is a key. Raises `StateRefused`,
        with the position of the part that cannot be stored."""
        return self.seal(self.encode(value))

    def encode(self, value: Any) -> bytes:
        """The bytes of a value, neither compressed nor encrypted; `loads` reads them too. Raises `StateRefused`, with
        the position of the part that cannot be stored."""
        try:
            packed = self._pack(ormsgpack.Ext(_BYTEARRAY, bytes(value)) if type(value) is bytearray else value)
        except StateRefused as error:
            raise unstorable_error(value, error, self) from error.__cause__
        return packed

    async def dumps_in_turns(self, value: Any) -> bytes:
        """The same as `dumps`. A large value is encoded in slices, between which the event loop continues. Nothing else
        may change the value meanwhile."""
        if not is_large(value):
            return self.dumps(value)
        try:
            packed = await in_turns(slices_of(value, self.message_pack))
        except StateRefused as error:
            raise unstorable_error(value, error, self) from error.__cause__
        return await asyncio.to_thread(self.seal, packed)  # both libraries release the interpreter lock

    def seal(self, encoded: bytes) -> bytes:
        """The stored form of encoded bytes: compressed if they are large, and encrypted if there is a key. It takes CPU
        on the calling thread, 1.5 ms per MB; several threads may call it at once."""
        return self._encrypt(compressed(encoded))

    def seal_record(self, encoded: bytes) -> bytes:
        """The same for the record of a checkpoint, which is compressed also if it is small."""
        return self._encrypt(compressed_record(encoded))

    def seal_similar(self, encoded: bytes, dictionary: bytes) -> bytes:
        """The same for bytes that resemble those of other values. Only `loads` with this dictionary reads them."""
        return self._encrypt(compressed_similar(encoded, dictionary))

    def _encrypt(self, data: bytes) -> bytes:
        return data if self._encryption is None else self._encryption.encrypt(data)

    def unsealed(self, stored: bytes, dictionary: bytes = b"") -> bytes:
        """The bytes that `encode` has returned. Raises `StoredDataError` as `loads` does."""
        if stored[:1] == MARK:
            if self._encryption is None:
                raise StoredDataError("a stored value is encrypted, and SLIPWAY_ENCRYPTION_KEY is not set")
            stored = self._encryption.decrypt(stored)
        return decompressed(stored, dictionary)

    def loads(self, stored: bytes, dictionary: bytes = b"") -> Any:
        """Objects that cannot be rebuilt are returned as plain data. Raises `StoredDataError` when the bytes are
        damaged, compressed by an unknown codec or with another dictionary, or encrypted with another key."""
        return self._decoded(self.unsealed(stored, dictionary))

    async def loads_in_turns(self, stored: bytes) -> Any:
        """The same as `loads`. A large value is decoded in slices, between which the event loop continues."""
        if max(len(stored), plain_size(stored)) < LARGE_BYTES:
            return self.loads(stored)
        encoded = await asyncio.to_thread(self.unsealed, stored)  # both libraries release the interpreter lock
        try:
            return await decoded_in_turns(encoded, self._unpack, _RECORD, lambda payload: self._object(*payload))
        except Exception:  # what it cannot divide, or cannot read: then the error is that of `loads`
            self._problem = None
            return self._decoded(encoded)

    def _decoded(self, encoded: bytes) -> Any:
        try:
            return self._unpack(encoded)
        except Exception as error:
            problem, self._problem = self._problem, None
            raise problem or StoredDataError(f"a stored value is damaged: {error}") from error

    def _unpack(self, encoded: bytes) -> Any:
        return ormsgpack.unpackb(encoded, ext_hook=self._hook, option=_UNPACK)

    def rebuilt(self, cls: type, payload: Any) -> Any:
        """An object of a data class from its fields, or an enum's value, without running its code. Raises
        `NotRebuildable`."""
        return self._codec(cls)[1](payload)

    def rebuilt_by_name(self, reference: Reference, payload: Any) -> Any:
        """Does the same for a class that is given by name. Returns plain data and logs a warning if it cannot be
        rebuilt."""
        try:
            return self._builder(reference)(payload)
        except Exception as error:
            return self._substitute(reference, payload, error)

    def storable(self, value: Any) -> bool:
        """Whether `dumps` accepts the value. It is encoded for this, so this costs as much as `dumps`."""
        try:
            self._pack(ormsgpack.Ext(_BYTEARRAY, bytes(value)) if type(value) is bytearray else value)
        except StateRefused:
            return False
        return True

    def copied(self, value: Any) -> Any:
        """Returns the value after a round trip through the stored form."""
        return self._unpack(self._pack(value))

    def may_be_incomplete(self, cls: type) -> bool:
        """Whether a model is rebuilt without fields that were not stored and have no default."""
        return self.allowed.is_field_of_model(cls)

    def report_omitted(self, cls: type, names: Iterable[str], why: str) -> None:
        """Logs once that these attributes of objects of the class are not stored, or not restored."""
        self.allowed.warn(name_of(cls), why, attributes=sorted(names))

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return TYPE, self.dumps(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        if data[0] != TYPE:
            raise StoredDataError(f"a stored value is in the format {data[0]!r}, not {TYPE!r}")
        return self.loads(data[1])

    # writing

    def _pack(self, value: Any) -> bytes:
        try:
            return ormsgpack.packb(value, self._default, _PACK)
        except TypeError as error:
            if self._problem is not None:  # ormsgpack discards the exception of a callback
                problem, self._problem = self._problem, None
                raise problem from None
            if "surrogates" in str(error):
                return ormsgpack.packb(_without_surrogates(value), self._default, _PACK)
            raise StateRefused(message_of(error)) from error

    def _default(self, value: Any) -> Any:
        if is_a(value, BaseException):  # checked first, because no code of its class may run
            return repr_of(value)
        try:
            encoder = self._encoders.get(type(value))
            if encoder is None:
                encoder = self._encoders[type(value)] = self._encoder(type(value))
            return encoder(value)
        except BaseException as error:  # code of the project may run here and may raise anything
            self._problem = error if isinstance(error, SlipwayError) else _failure(error)
            raise self._problem from None

    def _encoder(self, cls: type) -> Callable[[Any], Any]:
        builtin = standard_types.encoder_of(cls)
        if builtin is not None:
            code, take_apart = builtin
            return lambda value: ormsgpack.Ext(code, self._pack(take_apart(value)))
        if cls is UnknownObject:
            return lambda unknown: ormsgpack.Ext(_RECORD, self._pack([_stored(unknown.reference), unknown.payload]))
        take_apart, reference = self._codec(cls)[0], _stored(self.allowed.reference(_stored_class(cls)))
        return lambda value: ormsgpack.Ext(_RECORD, self._pack([reference, take_apart(value)]))

    def _codec(self, cls: type) -> ObjectCodec:
        codec = codec_of(cls, self)
        if codec is None:
            raise StateRefused(NO_DATA)
        return codec

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
        payload = self._unpack(data)
        if code == _RECORD:
            return self._object(*payload)
        reader = standard_types.READERS.get(code)
        if reader is None:
            raise StoredDataError(f"a stored value has the unknown type {code}")
        try:
            return reader(payload)
        except SlipwayError:
            raise
        except Exception as error:
            if self._preserve_unknown:
                raise StoredDataError(f"a stored {standard_types.NAMES[code]} cannot be read: {error}") from error
            why = f"it was not rebuilt ({type(error).__name__}); its parts are read as plain data"
            self.allowed.warn(standard_types.NAMES[code], why)
            return payload

    def _object(self, stored: Any, payload: Any) -> Any:
        """Returns the object that a stored record describes, or its substitute."""
        reference: Reference = stored if type(stored) is int else _named(stored)
        try:
            return (self._builders.get(reference) or self._builder(reference))(payload)
        except Exception as error:
            return self._substitute(reference, payload, error)

    def _builder(self, reference: Reference) -> Callable[[Any], Any]:
        build = self._builders[reference] = self._codec(self.allowed.resolve(reference))[1]
        return build

    def _substitute(self, reference: Reference, payload: Any, error: Exception) -> Any:
        """Returns the plain data or the `UnknownObject` that replaces an object that was not rebuilt."""
        if isinstance(reference, int) and reference in self._builders:
            with contextlib.suppress(Exception):
                return construct(self.allowed.resolve(reference), payload)
        why = str(error) if isinstance(error, NotRebuildable) else f"it was not rebuilt ({type(error).__name__})"
        self.allowed.warn(self.allowed.name_of(reference), f"{why}; its objects are read as plain data")
        return UnknownObject(reference, payload) if self._preserve_unknown else plain_of(payload)


class _MessagePack:
    """MessagePack, for `slices_of`."""

    lists: Collection[type] = frozenset({list})
    between = b""

    def __init__(self, pack: Callable[[Any], bytes]) -> None:
        self._pack = pack

    def encoded(self, value: Any) -> bytes:
        return self._pack(value)

    def opening(self, container: Any) -> bytes:
        """The type with the number of members, in the shortest form."""
        count, fixed, long = len(container), *((0x80, 0xDE) if type(container) is dict else (0x90, 0xDC))
        if count < _FIXED_MEMBERS:
            return bytes([fixed + count])
        return bytes([long]) + count.to_bytes(2) if count < _MEMBERS_16 else bytes([long + 1]) + count.to_bytes(4)

    def closing(self, container: Any) -> bytes:
        return b""

    def key(self, key: str) -> bytes:
        return self._pack(key)


_FIXED_MEMBERS: Final = 16
_MEMBERS_16: Final = 1 << 16


def _failure(error: BaseException) -> StateRefused:
    """The error when code of a value's class fails while the value is taken apart."""
    return StateRefused(f"taking it apart raised {class_name(error)}: {message_of(error)}")


def _stored(reference: Reference) -> int | list[str]:
    return reference if isinstance(reference, int) else list(reference)


def _named(stored: Any) -> tuple[str, str]:
    if type(stored) is not list or len(stored) != 2 or not all(type(part) is str for part in stored):
        raise StoredDataError("a stored object does not name its class")
    return stored[0], stored[1]


def _stored_class(cls: type) -> type:
    """The class under which objects of `cls` are stored. Subclasses of pydantic's secrets are stored as the secret
    itself, so that a secret never becomes plain text because its subclass was removed."""
    return next((base for base in (SecretStr, SecretBytes) if base in mro_of(cls)), cls)


_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def _without_surrogates(value: Any) -> Any:
    """Replaces strings with lone surrogates, which MessagePack rejects, by extension values. Rare, so it may be
    slow."""
    if isinstance(value, str):
        return ormsgpack.Ext(_SURROGATES, value.encode("utf-8", "surrogatepass")) if _SURROGATE.search(value) else value
    if isinstance(value, dict):
        if any(isinstance(key, str) and _SURROGATE.search(key) for key in value):
            raise StateRefused("a dictionary key holds half a surrogate pair, which is not valid text")
        return {key: _without_surrogates(item) for key, item in value.items()}
    if type(value) is list:
        return [_without_surrogates(item) for item in value]
    return value
