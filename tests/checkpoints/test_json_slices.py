"""Large JSON is parsed in slices: the value is the same, and the event loop continues."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.serialization import json_slices, turns
from slipway.serialization.json_slices import loads_in_turns
from tests.waiting import event_loop_iterations

TEXTS = st.sampled_from(["a", "},{", '"', "\\", '\\"', "}, {", "[", '{"a":1},{"b":2}']) | st.text(max_size=5)
VALUES = st.recursive(
    st.none() | st.integers(-5, 2**40) | TEXTS,
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=60,
)
RECORDS = [{"id": number, "name": "a name"} for number in range(40_000)]


@pytest.fixture(scope="module", autouse=True)
def _small_pieces() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_slices, "LARGE_BYTES", 0)
        patch.setattr(json_slices, "PIECE_BYTES", 1)
        patch.setattr(json_slices, "HEAD_BYTES", 0)
        patch.setattr(turns, "LONGEST_TURN_S", -1.0)
        yield


@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_the_value_is_the_same(value: Any, indent: int | None, ascii_only: bool) -> None:
    raw = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "replace")
    assert asyncio.run(loads_in_turns(raw)) == orjson.loads(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'[{"a":1},{"b":2}],{"c":3},{"d":4}',
        b'{"a":{"b":1},{"c":2},{"d":3}}',
        b'[{"a":1},{"b":2,{"c":3},{"d":4}]',
        b'["},{},{},{"]]',
        b'[{"a":1},{},{"b":"},{x},{"c":1}]',
    ],
)
def test_malformed_json_is_rejected(raw: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        asyncio.run(loads_in_turns(raw))


@given(st.text(alphabet='[]{},:"\\1a ', max_size=40))
def test_only_json_is_accepted(text: str) -> None:
    def outcome(parse: Any) -> Any:
        try:
            return parse()
        except orjson.JSONDecodeError:
            return "malformed"

    raw = text.encode()
    assert outcome(lambda: asyncio.run(loads_in_turns(raw))) == outcome(lambda: orjson.loads(raw))


def test_the_event_loop_continues_between_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_slices, "PIECE_BYTES", 64 * 1024)
    raw = orjson.dumps({"input": {"records": RECORDS}, "assistant_id": "a"})

    async def iterations_meanwhile() -> int:
        parsing, count = asyncio.ensure_future(loads_in_turns(raw)), 0
        while not parsing.done():
            await event_loop_iterations(1)
            count += 1
        assert await parsing == orjson.loads(raw)
        return count

    assert asyncio.run(iterations_meanwhile()) > len(raw) / (70 * 1024)
