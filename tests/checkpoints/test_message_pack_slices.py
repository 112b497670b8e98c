"""Large stored values are decoded in slices: the value is the same, and the event loop continues."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langgraph.types import Send

from slipway.errors import StoredDataError
from slipway.serialization import message_pack_slices, serde, turns
from slipway.serialization.encryption import Encryption
from slipway.serialization.message_pack_slices import decoded_in_turns
from slipway.serialization.serde import Serde
from tests.waiting import event_loop_iterations

TEXTS = st.text(max_size=20)
KEYS = TEXTS | st.integers(-5, 2**40) | st.booleans() | st.just(UUID(int=5)) | st.tuples(st.integers(0, 9))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False)
    | TEXTS
    | st.binary(max_size=9)
    | st.just(datetime(2026, 11, 29, tzinfo=UTC)),
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.dictionaries(KEYS, inner, max_size=20)
        | st.tuples(inner, inner)
        | st.builds(Send, TEXTS, inner)
    ),
    max_leaves=100,
)
RECORDS = [{"id": number, "name": f"name {number}", "tags": ["a", "b"]} for number in range(40_000)]


CLASS_CODE = 64
"""The code of the extension that holds an object of a data class."""


@pytest.fixture(scope="module", autouse=True)
def _small_slices() -> Iterator[None]:
    """Every container is divided, and the event loop continues after each slice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serde, "LARGE_BYTES", 0)
        patch.setattr(turns, "LONGEST_TURN_S", -1.0)
        for name, value in (("LARGE_BYTES", 48), ("SLICE_BYTES", 32), ("MOST_PARTS", 24)):
            patch.setattr(message_pack_slices, name, value)
        yield


def in_turns(encoded: bytes, unpack: Callable[[bytes], Any] | None = None) -> Any:
    """Decoded in slices, never at once."""

    def build(payload: Any) -> Any:
        name, content = payload
        return Serde().rebuilt_by_name(name if isinstance(name, int) else tuple(name), content)

    return asyncio.run(decoded_in_turns(encoded, unpack or Serde().loads, CLASS_CODE, build))


@given(VALUES)
def test_the_value_is_the_same(value: Any) -> None:
    encoded = Serde().encode(value)
    assert in_turns(encoded) == Serde().loads(encoded)


@given(VALUES)
def test_the_value_of_another_encoder_is_the_same(value: Any) -> None:
    """Only the sizes of its parts say where a group ends."""

    def fail(*_: Any, **__: Any) -> bytes:
        raise TypeError

    encoded = Serde().encode(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ormsgpack, "packb", fail)
        assert in_turns(encoded) == Serde().loads(encoded)


def test_longer_forms_than_those_of_this_encoder_are_read() -> None:
    """Encoded again, these numbers need fewer bytes, so that does not say where a group ends."""
    numbers = b"".join(b"\xce" + number.to_bytes(4) for number in range(100))
    assert in_turns(b"\xdd" + (100).to_bytes(4) + numbers) == list(range(100))


@pytest.mark.parametrize("count", [15, 16, 31, 32, 255, 256, 65_535, 65_536])
def test_parts_of_any_size_are_the_same(count: int) -> None:
    value = ["a" * count, b"b" * count, [0] * count, {f"k{number}": None for number in range(count)}, 2**count]
    assert in_turns(Serde().encode(value)) == value


def test_objects_are_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_pack_slices, "SLICE_BYTES", 1024)
    monkeypatch.setattr(message_pack_slices, "LARGE_BYTES", 4096)
    decoded_bytes = list[int]()

    def unpack(encoded: bytes) -> Any:
        decoded_bytes.append(len(encoded))
        return Serde().loads(encoded)

    encoded = Serde().encode({"messages": [AIMessage("word " * count, id=str(count)) for count in range(40)]})
    messages = in_turns(encoded, unpack)["messages"]
    assert [message.id for message in messages] == [str(count) for count in range(40)]
    assert all(type(message) is AIMessage for message in messages)
    assert sum(decoded_bytes) < 1.2 * len(encoded)


@given(VALUES, st.integers(0, 300), st.integers(0, 255))
def test_a_damaged_value_is_decoded_or_rejected_as_before(value: Any, at: int, byte: int) -> None:
    damaged = bytearray(Serde().encode(value))
    damaged[at % len(damaged)] = byte

    def outcome(read: Any) -> Any:
        try:
            return repr(read())
        except StoredDataError as error:
            return str(error)

    once, turns = Serde(), Serde()
    in_slices = outcome(lambda: asyncio.run(turns.loads_in_turns(bytes(damaged))))
    assert in_slices == outcome(lambda: once.loads(bytes(damaged)))


def test_a_truncated_value_is_rejected() -> None:
    encoded = ormsgpack.packb(RECORDS[:100])
    for size in range(1, len(encoded), 7):
        with pytest.raises(StoredDataError, match="damaged"):
            asyncio.run(Serde().loads_in_turns(encoded[:size]))


def test_an_encrypted_value_is_the_same() -> None:
    codec = Serde(encryption=Encryption([b"k" * 32]))
    assert asyncio.run(codec.loads_in_turns(codec.dumps(RECORDS[:2000]))) == RECORDS[:2000]


@pytest.mark.parametrize(
    "value", [RECORDS, {"records": RECORDS, "count": 1}, {str(record["id"]): record for record in RECORDS}]
)
def test_no_slice_is_large(monkeypatch: pytest.MonkeyPatch, value: Any) -> None:
    """However large the value is, at most so many bytes are decoded between two iterations of the event loop."""
    monkeypatch.setattr(message_pack_slices, "LARGE_BYTES", 256 * 1024)
    monkeypatch.setattr(message_pack_slices, "SLICE_BYTES", 64 * 1024)
    monkeypatch.setattr(message_pack_slices, "MOST_PARTS", 16 * 1024)
    codec, sizes, unpackb = Serde(), list[int](), ormsgpack.unpackb

    def measured(encoded: bytes, **options: Any) -> Any:
        sizes.append(len(encoded))
        return unpackb(encoded, **options)

    monkeypatch.setattr(ormsgpack, "unpackb", measured)
    encoded = codec.encode(value)

    async def iterations_meanwhile() -> int:
        decoding = asyncio.ensure_future(decoded_in_turns(encoded, codec.loads, CLASS_CODE, codec.copied))
        count = 0
        while not decoding.done():
            await event_loop_iterations(1)
            count += 1
        assert await decoding == value
        return count

    assert asyncio.run(iterations_meanwhile()) > len(encoded) / (64 * 1024)
    assert max(sizes) < 2.1 * 64 * 1024
