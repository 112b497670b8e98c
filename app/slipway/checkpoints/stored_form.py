"""How the core checkpointer encodes values, and what is stored of the encoded bytes."""

from __future__ import annotations

from typing import Any, Protocol

from langgraph.checkpoint.serde.base import SerializerProtocol

from slipway.serialization.serde import Serde


class StoredForm(Protocol):
    """`Serde` has this interface. A `dictionary` is the encoded bytes of similar values, in the same order when a value
    is written and when it is read."""

    def encode(self, value: Any) -> bytes:
        """The bytes of a value, neither compressed nor encrypted."""

    async def dumps_in_turns(self, value: Any) -> bytes:
        """The stored form of a value. A large one is encoded in slices, between which the event loop continues."""

    def seal(self, encoded: bytes) -> bytes:
        """The stored form of encoded bytes."""

    def seal_record(self, encoded: bytes) -> bytes:
        """The same for the record of a checkpoint."""

    def seal_similar(self, encoded: bytes, dictionary: bytes) -> bytes:
        """The same for bytes that resemble others, which must stay stored as long."""

    def unsealed(self, stored: bytes, dictionary: bytes = b"") -> bytes:
        """The encoded bytes."""

    def loads(self, stored: bytes, dictionary: bytes = b"") -> Any:
        """The value."""

    async def loads_in_turns(self, stored: bytes) -> Any:
        """The value. A large one is decoded in slices, between which the event loop continues."""


class ForeignForm:
    """The stored form of another serializer: the type is written before the bytes, values are encoded and decoded at
    once, and nothing is compressed."""

    def __init__(self, serde: SerializerProtocol) -> None:
        self._serde = serde

    def encode(self, value: Any) -> bytes:
        kind, data = self._serde.dumps_typed(value)
        return kind.encode() + b"\0" + data

    async def dumps_in_turns(self, value: Any) -> bytes:
        return self.encode(value)

    def seal(self, encoded: bytes) -> bytes:
        return encoded

    def seal_record(self, encoded: bytes) -> bytes:
        return encoded

    def seal_similar(self, encoded: bytes, dictionary: bytes) -> bytes:
        return encoded

    def unsealed(self, stored: bytes, dictionary: bytes = b"") -> bytes:
        return stored

    def loads(self, stored: bytes, dictionary: bytes = b"") -> Any:
        kind, _, data = stored.partition(b"\0")
        return self._serde.loads_typed((kind.decode(), data))

    async def loads_in_turns(self, stored: bytes) -> Any:
        return self.loads(stored)


def stored_form_of(serde: SerializerProtocol) -> StoredForm:
    """The stored form of the values that `serde` encodes."""
    return serde if isinstance(serde, Serde) else ForeignForm(serde)
