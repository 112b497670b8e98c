"""The stream of a thread: all runs in their order, states written in between, and going on from any id."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import httpx
import pytest
from langgraph_sdk.errors import NotFoundError

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from tests.compat.conftest import Client, Eventually, held, new_thread

pytestmark = pytest.mark.usefixtures("worker")


async def until(joined: Awaitable[Any], done: Callable[[list[Any]], bool]) -> list[Any]:
    """What the stream gives until `done`."""
    found: list[Any] = []
    async with asyncio.timeout(30), aclosing(await joined) as parts:
        async for part in parts:
            found.append(part)
            if done(found):
                return found
    return found


def runs_done(count: int) -> Callable[[list[Any]], bool]:
    """After so many runs."""
    return lambda found: sum(is_done(part) for part in found) == count


def is_done(part: Any) -> bool:
    return bool(part.event == "metadata" and part.data.get("status") == "run_done")


def places(parts: list[Any]) -> list[tuple[int, int]]:
    """Ids as numbers."""
    return [(int(turn), int(read)) for turn, read in (part.id.split("-") for part in parts)]


async def test_runs_follow_one_another_live(
    sdk: Client, eventually: Eventually, pipeline: Pipeline, keys: Keys
) -> None:
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    live = asyncio.create_task(until(sdk.threads.join_stream(thread), runs_done(2)))
    channel = keys.thread_notifications(thread)

    async def listens() -> bool:
        return bool((await pipeline.send("PUBSUB", "NUMSUB", channel))[1])

    await eventually(listens)
    runs = [(await sdk.runs.create(thread, "steps", input={"value": n}, stream_mode="updates")) for n in (10, 20)]
    found = await live
    assert [part.event for part in found] == ["metadata", "updates", "updates", "updates", "metadata"] * 2
    assert [part.data["run_id"] for part in found if part.event == "metadata"] == [
        run["run_id"] for run in runs for _ in range(2)
    ]
    assert places(found) == sorted(set(places(found)))


async def test_going_on_from_any_id_misses_and_repeats_nothing(sdk: Client) -> None:
    thread = await new_thread(sdk)
    for value in (1, 10):
        await sdk.runs.wait(thread, "steps", input={"value": value})
    await sdk.threads.update_state(thread, {"value": 100}, as_node="three")
    await sdk.runs.wait(thread, "steps", input={"value": 2})
    modes = ["run_modes", "state_update"]
    whole = await until(sdk.threads.join_stream(thread, last_event_id="-", stream_mode=modes), runs_done(3))
    assert [part.data["state"]["values"]["value"] for part in whole if part.event == "state_update"] == [100]
    assert [part.event for part in whole if part.event != "values"] == [
        *("metadata", "metadata") * 2,
        "state_update",
        *("metadata", "metadata"),
    ]
    ids = [part.id for part in whole]
    assert places(whole) == sorted(set(places(whole)))
    for at, last_id in enumerate(ids[:-1]):
        left = sum(is_done(part) for part in whole[at + 1 :])
        rest = await until(sdk.threads.join_stream(thread, last_event_id=last_id, stream_mode=modes), runs_done(left))
        assert [part.id for part in rest] == ids[at + 1 :]


async def test_lifecycle_is_beginnings_and_ends(sdk: Client) -> None:
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    await sdk.runs.wait(thread, "fail", input={"value": 1}, raise_error=False)
    found = await until(sdk.threads.join_stream(thread, last_event_id="-", stream_mode="lifecycle"), runs_done(2))
    assert {part.event for part in found} == {"metadata"}
    assert [part.data.get("status") for part in found] == [None, "run_done"] * 2


async def test_a_delayed_run_has_its_turn_after_those_made_meanwhile(sdk: Client, eventually: Eventually) -> None:
    thread = await new_thread(sdk)
    delayed = await sdk.runs.create(thread, "steps", input={"value": 1}, after_seconds=3)
    first = await sdk.runs.create(thread, "steps", input={"value": 1})
    found = await until(sdk.threads.join_stream(thread, last_event_id="-", stream_mode="lifecycle"), runs_done(2))
    assert [part.data["run_id"] for part in found] == [first["run_id"]] * 2 + [delayed["run_id"]] * 2


async def test_joining_in_the_middle_is_live(sdk: Client, eventually: Eventually) -> None:
    thread = await new_thread(sdk)
    run = await sdk.runs.create(thread, "hold", input={"value": 1})
    await eventually(lambda: held(sdk, thread))
    joined = asyncio.create_task(until(sdk.threads.join_stream(thread), runs_done(1)))
    next_run = await sdk.runs.create(thread, "steps", input={"value": 1})
    await sdk.runs.cancel(thread, run["run_id"], wait=True)
    found = await joined
    if "status" in found[0].data:  # joined before the run was cancelled
        assert found[0].data == {"run_id": run["run_id"], "status": "run_done"}
    else:
        assert found[0].data["run_id"] == next_run["run_id"]


async def test_a_rolled_back_run_leaves_and_the_next_goes_on(sdk: Client, eventually: Eventually) -> None:
    thread = await new_thread(sdk)
    run = await sdk.runs.create(thread, "hold", input={"value": 1})
    await eventually(lambda: held(sdk, thread))
    joined = asyncio.create_task(
        until(
            sdk.threads.join_stream(thread, last_event_id="-", params={"end": "true"}),
            lambda found: found[-1].event == "end",
        )
    )
    await sdk.runs.cancel(thread, run["run_id"], action="rollback", wait=True)
    last = await sdk.runs.create(thread, "steps", input={"value": 1})
    assert (await joined)[-1].data["run_id"] in (run["run_id"], last["run_id"])
    rest = await until(sdk.threads.join_stream(thread, last_event_id="-"), runs_done(1))
    assert rest[0].data["run_id"] == last["run_id"]


async def test_it_ends_with_the_thread(sdk: Client) -> None:
    thread = await new_thread(sdk)
    stream = asyncio.create_task(until(sdk.threads.join_stream(thread, last_event_id="-"), lambda found: False))
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    await sdk.threads.delete(thread)
    async with asyncio.timeout(30):
        await asyncio.wait({stream})


async def test_what_it_refuses_and_takes(sdk: Client, client: httpx.AsyncClient) -> None:
    thread = await new_thread(sdk)
    place = f"/threads/{thread}/stream"
    with pytest.raises(NotFoundError):
        await until(sdk.threads.join_stream(str(uuid4())), lambda found: True)
    assert (await client.get(place, params={"stream_mode": "values"})).status_code == 422
    for wrong in ("x", "-1", "1-", "1-2-3", "1--2"):
        assert (await client.get(place, headers={"last-event-id": wrong})).status_code == 422, wrong
    for query in (
        "stream_mode=lifecycle&stream_mode=state_update",
        "stream_modes=lifecycle,state_update",
        'stream_mode=["lifecycle"]',
    ):
        for given in ({}, {"last-event-id": "17-*"}, {"last-event-id": "17-0"}, {"last-event-id": "-"}):
            async with client.stream("GET", f"{place}?{query}", headers=given) as answer:
                assert answer.status_code == 200
                assert answer.headers["content-type"].startswith("text/event-stream")
                assert "location" not in answer.headers
                assert (await anext(answer.aiter_lines())).startswith(":")
