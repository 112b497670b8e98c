"""A result that is the last state is stored once in an event log, and everybody receives it as before."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import orjson
import pytest

from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.event_log import EventLog
from slipway.runs.events import Event, same_as_event
from slipway.runs.script_results import Settled
from slipway.runs.scripts import LogScripts
from slipway.sse_frames import encode_frame
from tests.runs.conftest import Stores, settlement
from tests.runs.log_followers import Follower
from tests.waiting import wait_until

STATE = orjson.dumps({"answer": "a long answer, " * 200})
OTHER = orjson.dumps({"answer": "another answer, " * 200})


async def _ended(stores: Stores, result: bytes, states: list[bytes], later_events: int = 0) -> AttemptWriter:
    """A run whose log has these states, other events, and the end with this result."""
    await stores.create_run()
    return await _end(stores, AttemptWriter(stores.scripts, await stores.claim_one()), result, states, later_events)


async def _end(
    stores: Stores, attempt: AttemptWriter, result: bytes, states: list[bytes], later_events: int = 0
) -> AttemptWriter:
    for state in states:
        attempt.append("values", encode_frame("values", state))
        await attempt.flush()
    for number in range(later_events):
        attempt.append("custom", encode_frame("custom", b"%d" % number))
    assert await attempt.settle(settlement(attempt.run, result=result.decode())) == Settled()
    return attempt


async def _stored(stores: Stores, attempt: AttemptWriter) -> bytes:
    ((_, flat),) = await stores.pipeline.send(
        "XREVRANGE", stores.keys.events(attempt.run.run_id), "+", "-", "COUNT", 1, repeatable=True
    )
    return bytes(dict(zip(flat[::2], flat[1::2], strict=True))[b"r"])


async def _followed(stores: Stores, attempt: AttemptWriter, after: str = "0") -> list[Event]:
    async with aclosing(
        EventLog(stores.pipeline, stores.keys, stores.subscriber).follow(attempt.run.run_id, after)
    ) as log:
        return [event async for batch in log for event in batch]


@pytest.mark.parametrize("later_events", [0, 3])
async def test_a_result_that_is_the_last_state_refers_to_its_event(stores: Stores, later_events: int) -> None:
    attempt = await _ended(stores, STATE, [OTHER, STATE], later_events)
    assert await _stored(stores, attempt) == same_as_event(1 + later_events)
    events = await _followed(stores, attempt)
    assert events[-1].result == STATE
    for event in events[:-1]:  # a client that continues after any event
        assert (await _followed(stores, attempt, event.id))[-1].result == STATE
    assert (await stores.events.read(attempt.run.run_id, events[-2].position))[0].result == STATE


@pytest.mark.parametrize(
    ("result", "states"),
    [(STATE, [STATE, OTHER]), (STATE, []), (STATE, [STATE + b" "]), (b'{"a":1}', [b'{"a":1}'])],
    ids=["an earlier state", "no state", "not the same bytes", "small"],
)
async def test_any_other_result_is_stored(stores: Stores, result: bytes, states: list[bytes]) -> None:
    attempt = await _ended(stores, result, states)
    assert not (await _stored(stores, attempt)).startswith(b"\x1f")
    assert (await _followed(stores, attempt))[-1].result == result


async def test_live_followers_need_no_read_for_the_result(stores: Stores) -> None:
    await stores.create_run()
    attempt = AttemptWriter(stores.scripts, await stores.claim_one())
    followers = [Follower(stores.events, attempt.run.run_id) for _ in range(3)]
    await wait_until(lambda: all(len(follower.events) == 1 for follower in followers))
    attempt.append("values", encode_frame("values", STATE))
    await attempt.flush()
    await wait_until(lambda: all(len(follower.events) == 2 for follower in followers))
    assert await attempt.settle(settlement(attempt.run, result=STATE.decode())) == Settled()
    trips = stores.pipeline.round_trips
    for follower in followers:
        await follower.task
        assert follower.events[-1].result == STATE
    assert stores.pipeline.round_trips == trips


async def test_a_result_whose_event_is_missing_is_none(stores: Stores) -> None:
    attempt = await _ended(stores, STATE, [OTHER, STATE])
    end = (await _followed(stores, attempt))[-1]
    await stores.pipeline.send("XTRIM", stores.keys.events(attempt.run.run_id), "MAXLEN", 1)
    assert (await stores.events.read(attempt.run.run_id, (end.position[0] - 1, 0)))[-1].result is None


async def test_the_log_of_another_run_with_the_same_id_never_supplies_the_result(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = await _ended(stores, STATE, [STATE])
    last_state = (await _followed(stores, attempt))[-2]
    key = stores.keys.events(attempt.run.run_id)
    read_page = LogScripts.page

    async def page_of_deleted_run(reads: LogScripts, *arguments: Any) -> Any:
        entries = await read_page(reads, *arguments)
        await stores.pipeline.send("DEL", key)  # then a run with the same id ends with another state
        frame = encode_frame("values", OTHER)
        await stores.pipeline.send("XADD", key, "*", "n", "values", "f", frame)
        await stores.pipeline.send("XADD", key, "*", "n", "end", "f", b"event: end\r\ndata: {}\r\n")
        return entries

    monkeypatch.setattr(LogScripts, "page", page_of_deleted_run)
    assert (await stores.events.read(attempt.run.run_id, last_state.position))[-1].result is None


async def test_the_log_of_an_ended_run_keeps_no_free_space_and_expires(stores: Stores) -> None:
    attempt = await _ended(stores, b'{"a":1}', [b'{"a":1}'])
    key = stores.keys.events(attempt.run.run_id)
    assert await stores.pipeline.send("MEMORY", "USAGE", key, repeatable=True) < 1500
    assert await stores.pipeline.send("TTL", key, repeatable=True) > 0
    assert [event.name for event in await _followed(stores, attempt)] == ["metadata", "values", "end"]
    assert not await stores.pipeline.send("KEYS", f"{key}:*", repeatable=True)
