"""Any interleaving of appending, losing messages, breaking the subscription, joining and leaving."""

from __future__ import annotations

import asyncio
import uuid

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from slipway.redis.keys import Keys
from slipway.runs.events import event_position
from tests.proxy import Proxy, proxied
from tests.runs.conftest import Stores, opened
from tests.runs.test_events import Reading, Writing, started

MOVES = st.one_of(
    st.integers(1, 4).map(lambda count: ("write", count)),
    st.integers(1, 4).map(lambda count: ("put", count)),
    st.sampled_from([("lose", 1), ("lose", 0), ("cut", 0), ("away", 1), ("away", 0), ("leave", 0), ("turn", 0)]),
    st.integers(0, 12).map(lambda position: ("join", position)),
)

LEAVES_BEFORE_THE_SUBSCRIPTION = [
    *[("away", 1), ("cut", 0), ("turn", 0)],
    *[("join", 0), ("turn", 0), ("turn", 0), ("leave", 0)],
]
"""One of two readers leaves while both wait for their subscription, which cannot be there yet."""


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(MOVES, max_size=30))
@example(moves=LEAVES_BEFORE_THE_SUBSCRIPTION)
def test_every_reader_sees_everything_once_in_order(valkey_url: str, moves: list[tuple[str, int]]) -> None:
    asyncio.run(_play(valkey_url, moves))


async def _play(url: str, moves: list[tuple[str, int]]) -> None:
    keys = Keys(f"test-{uuid.uuid4().hex[:12]}")
    async with opened(url, keys) as near, proxied(url) as proxy, opened(url, keys, listens_at=proxy.url) as far:
        writing = await started(near)
        readings: list[tuple[Reading, str]] = [(Reading(far.events, writing.run_id), "0")]
        for move, number in moves:
            await _make(move, number, writing, readings, near, far, proxy)
        proxy.refusing, proxy.loses = False, None
        await writing.end()
        log = await near.log(writing.run_id)
        for reading, after in readings:
            await reading.done()
            assert reading.seen == [event for event in log if event.position > event_position(after)]


async def _make(
    move: str,
    number: int,
    writing: Writing,
    readings: list[tuple[Reading, str]],
    near: Stores,
    far: Stores,
    proxy: Proxy,
) -> None:
    if move == "write":
        await writing.write(number)
    elif move == "put":
        writing.put(number)
    elif move == "lose":
        proxy.loses = (lambda reply: bool(reply[0] == b"message")) if number else None
    elif move == "away":
        proxy.refusing = bool(number)
    elif move == "cut":
        proxy.cut()
    elif move == "turn":
        await asyncio.sleep(0)
    elif move == "leave" and len(readings) > 1:
        await readings.pop()[0].gone()
    elif move == "join":
        log = await near.log(writing.run_id)
        after = log[number].id if number < len(log) else "0"
        readings.append((Reading(far.events, writing.run_id, after), after))
