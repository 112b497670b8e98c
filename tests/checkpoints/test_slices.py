"""Large values are encoded in slices: the bytes are the same, and the event loop continues."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langgraph.types import Send

from slipway.errors import StateRefused
from slipway.serialization import json_encoding, slices, turns
from slipway.serialization.encryption import Encryption
from slipway.serialization.serde import Serde
from tests.waiting import event_loop_iterations

TEXTS = st.text(max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | TEXTS
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=90) | st.dictionaries(TEXTS, inner) | st.tuples(inner, inner),
    max_leaves=150,
)


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every container is large, and the event loop continues after each slice."""
    monkeypatch.setattr(slices, "LARGE_BYTES", 0)
    monkeypatch.setattr(slices, "SLICE_BYTES", 16)
    monkeypatch.setattr(turns, "LONGEST_TURN_S", -1.0)


@pytest.fixture(scope="module", autouse=True)
def _slices_of_one_value() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "SLICE_BYTES", 16)
        yield


@given(VALUES)
def test_the_slices_of_a_value_are_its_bytes(value: Any) -> None:
    serde = Serde()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "LARGE_BYTES", 0)
        assert asyncio.run(json_encoding.dumps_in_turns(value)) == json_encoding.dumps(value)
        assert asyncio.run(serde.dumps_in_turns(value)) == serde.dumps(value)


@pytest.mark.parametrize("count", [15, 16, 17, 63, 64, 65, 65_535, 65_536])
def test_a_container_of_any_size_is_the_same_in_slices(small_slices: None, count: int) -> None:
    serde, value = Serde(), {"list": [0] * count, "dict": {f"k{number}": None for number in range(count)}}
    assert b"".join(slices.slices_of(value, serde.message_pack)) == serde.message_pack.encoded(value)
    assert asyncio.run(json_encoding.dumps_in_turns(value)) == json_encoding.dumps(value)


def test_an_encrypted_value_is_the_same_in_slices(small_slices: None) -> None:
    serde, value = Serde(encryption=Encryption([b"k" * 32])), {"messages": [AIMessage("a" * 40) for _ in range(90)]}
    assert serde.loads(asyncio.run(serde.dumps_in_turns(value))) == value


def test_the_error_in_a_slice_names_the_part(small_slices: None) -> None:
    value = {"items": [{"name": number} for number in range(100)] + [{"name": object()}]}
    with pytest.raises(StateRefused, match=r"\['items'\]\[100\]\['name'\] is an object"):
        asyncio.run(Serde().dumps_in_turns(value))


RECORDS = [{"id": number, "name": "a name"} for number in range(20_000)]


@pytest.mark.parametrize(
    ("value", "large"),
    [
        ({"text": "hello"}, False),
        ({"messages": [AIMessage("word " * 20)] * 20}, False),
        ({"count": 1, "text": "a" * 300_000}, True),
        ({"count": 1, "records": RECORDS}, True),
        ([AIMessage("word " * 1000)] * 200, True),
        ({"a": {"b": [{"c": RECORDS}]}}, True),
        ([Send("node", {"records": RECORDS})], True),
    ],
)
def test_the_size_of_a_value_is_estimated(value: Any, large: bool) -> None:
    assert slices.is_large(value) is large


@pytest.mark.parametrize("encoding", [Serde().message_pack, json_encoding.JSON])
def test_the_event_loop_continues_between_the_slices(monkeypatch: pytest.MonkeyPatch, encoding: slices.Format) -> None:
    monkeypatch.setattr(turns, "LONGEST_TURN_S", -1.0)
    monkeypatch.setattr(slices, "SLICE_BYTES", 64 * 1024)

    async def iterations_meanwhile() -> int:
        joining = asyncio.ensure_future(slices.in_turns(slices.slices_of({"records": RECORDS}, encoding)))
        count = 0
        while not joining.done():
            await event_loop_iterations(1)
            count += 1
        assert await joining == encoding.encoded({"records": RECORDS})
        return count

    assert asyncio.run(iterations_meanwhile()) >= len(encoding.encoded(RECORDS)) / slices.SLICE_BYTES


def test_other_work_gets_several_iterations_for_each_turn(small_slices: None) -> None:
    """A small run that needs so many iterations waits for a few turns, not for one in each iteration."""
    turns_meanwhile = 0

    def endless_slices() -> Iterator[bytes]:
        nonlocal turns_meanwhile
        while True:
            yield b"slice"
            turns_meanwhile += 1

    async def small_run() -> None:
        long_work = asyncio.create_task(slices.in_turns(endless_slices()))
        await event_loop_iterations(4 * turns.ITERATIONS_BETWEEN_TURNS)
        long_work.cancel()

    asyncio.run(small_run())
    assert turns.ITERATIONS_BETWEEN_TURNS >= 10
    assert 2 <= turns_meanwhile <= 5
