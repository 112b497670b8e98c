"""The event stream of a thread: its runs in order, the state writes between them, and resuming after any event id."""

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
from tests.compat.conftest import Client, Eventually, hold_started, new_thread

pytestmark = pytest.mark.usefixtures("worker")


async def read_until(stream: Awaitable[Any], done: Callable[[list[Any]], bool]) -> list[Any]:
    """The events of the stream until `done` is true for them, or until it ends."""
    received: list[Any] = []
    async with asyncio.timeout(30), aclosing(await stream) as events:
        async for event in events:
            received.append(event)
            if done(received):
                return received
    return received


def runs_done(count: int) -> Callable[[list[Any]], bool]:
    """A predicate: true when the stream has the end of `count` runs."""
    return lambda events: sum(is_run_end(event) for event in events) == count


def is_run_end(event: Any) -> bool:
    return bool(event.event == "metadata" and event.data.get("status") == "run_done")


def positions(events: list[Any]) -> list[tuple[int, int]]:
    """The event ids as numbers."""
    return [(int(first), int(second)) for first, second in (event.id.split("-") for event in events)]


async def test_a_stream_sends_each_run_that_is_created_later(
    sdk: Client, eventually: Eventually, pipeline: Pipeline, keys: Keys
) -> None:
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    live = asyncio.create_task(read_until(sdk.threads.join_stream(thread), runs_done(2)))
    channel = keys.thread_notifications(thread)

    async def has_subscriber() -> bool:
        return bool((await pipeline.send("PUBSUB", "NUMSUB", channel))[1])

    await eventually(has_subscriber)
    runs = [(await sdk.runs.create(thread, "steps", input={"value": n}, stream_mode="updates")) for n in (10, 20)]
    events = await live
    assert [part.event for part in events] == ["metadata", "updates", "updates", "updates", "metadata"] * 2
    assert [part.data["run_id"] for part in events if part.event == "metadata"] == [
        run["run_id"] for run in runs for _ in range(2)
    ]
    assert positions(events) == sorted(set(positions(events)))


async def test_a_resumed_stream_skips_and_repeats_no_event(sdk: Client) -> None:
    thread = await new_thread(sdk)
    for value in (1, 10):
        await sdk.runs.wait(thread, "steps", input={"value": value})
    await sdk.threads.update_state(thread, {"value": 100}, as_node="three")
    await sdk.runs.wait(thread, "steps", input={"value": 2})
    modes = ["run_modes", "state_update"]
    complete = await read_until(sdk.threads.join_stream(thread, last_event_id="-", stream_mode=modes), runs_done(3))
    assert [part.data["state"]["values"]["value"] for part in complete if part.event == "state_update"] == [100]
    assert [part.event for part in complete if part.event != "values"] == [
        *("metadata", "metadata") * 2,
        "state_update",
        *("metadata", "metadata"),
    ]
    ids = [part.id for part in complete]
    assert positions(complete) == sorted(set(positions(complete)))
    for index, last_id in enumerate(ids[:-1], start=1):
        remaining = sum(is_run_end(part) for part in complete[index:])
        stream = sdk.threads.join_stream(thread, last_event_id=last_id, stream_mode=modes)
        resumed = await read_until(stream, runs_done(remaining))
        assert [part.id for part in resumed] == ids[index:]


async def test_the_mode_lifecycle_has_the_start_and_the_end_of_each_run(sdk: Client) -> None:
    thread = await new_thread(sdk)
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    await sdk.runs.wait(thread, "fail", input={"value": 1}, raise_error=False)
    events = await read_until(sdk.threads.join_stream(thread, last_event_id="-", stream_mode="lifecycle"), runs_done(2))
    assert {part.event for part in events} == {"metadata"}
    assert [part.data.get("status") for part in events] == [None, "run_done"] * 2


async def test_a_delayed_run_follows_the_runs_that_start_before_it(sdk: Client, eventually: Eventually) -> None:
    thread = await new_thread(sdk)
    delayed = await sdk.runs.create(thread, "steps", input={"value": 1}, after_seconds=3)
    first = await sdk.runs.create(thread, "steps", input={"value": 1})
    events = await read_until(sdk.threads.join_stream(thread, last_event_id="-", stream_mode="lifecycle"), runs_done(2))
    assert [part.data["run_id"] for part in events] == [first["run_id"]] * 2 + [delayed["run_id"]] * 2


async def test_a_stream_opened_during_a_run_sends_new_events_only(sdk: Client, eventually: Eventually) -> None:
    thread = await new_thread(sdk)
    run = await sdk.runs.create(thread, "hold", input={"value": 1})
    await eventually(lambda: hold_started(sdk, thread))
    joined = asyncio.create_task(read_until(sdk.threads.join_stream(thread), runs_done(1)))
    next_run = await sdk.runs.create(thread, "steps", input={"value": 1})
    await sdk.runs.cancel(thread, run["run_id"], wait=True)
    events = await joined
    if "status" in events[0].data:  # the stream was opened before the run was cancelled
        assert events[0].data == {"run_id": run["run_id"], "status": "run_done"}
    else:
        assert events[0].data["run_id"] == next_run["run_id"]


async def test_a_rolled_back_run_disappears_and_the_next_run_follows(sdk: Client, eventually: Eventually) -> None:
    thread = await new_thread(sdk)
    run = await sdk.runs.create(thread, "hold", input={"value": 1})
    await eventually(lambda: hold_started(sdk, thread))
    joined = asyncio.create_task(
        read_until(
            sdk.threads.join_stream(thread, last_event_id="-", params={"end": "true"}),
            lambda events: events[-1].event == "end",
        )
    )
    await sdk.runs.cancel(thread, run["run_id"], action="rollback", wait=True)
    last = await sdk.runs.create(thread, "steps", input={"value": 1})
    assert (await joined)[-1].data["run_id"] in (run["run_id"], last["run_id"])
    replayed = await read_until(sdk.threads.join_stream(thread, last_event_id="-"), runs_done(1))
    assert replayed[0].data["run_id"] == last["run_id"]


async def test_the_stream_ends_when_the_thread_is_deleted(sdk: Client) -> None:
    thread = await new_thread(sdk)
    stream = asyncio.create_task(read_until(sdk.threads.join_stream(thread, last_event_id="-"), lambda events: False))
    await sdk.runs.wait(thread, "steps", input={"value": 1})
    await sdk.threads.delete(thread)
    async with asyncio.timeout(30):
        await asyncio.wait({stream})


async def test_invalid_modes_and_event_ids_are_rejected_and_all_valid_forms_accepted(
    sdk: Client, client: httpx.AsyncClient
) -> None:
    thread = await new_thread(sdk)
    path = f"/threads/{thread}/stream"
    with pytest.raises(NotFoundError):
        await read_until(sdk.threads.join_stream(str(uuid4())), lambda events: True)
    assert (await client.get(path, params={"stream_mode": "values"})).status_code == 422
    for event_id in ("x", "-1", "1-", "1-2-3", "1--2"):
        assert (await client.get(path, headers={"last-event-id": event_id})).status_code == 422, event_id
    for query in (
        "stream_mode=lifecycle&stream_mode=state_update",
        "stream_modes=lifecycle,state_update",
        'stream_mode=["lifecycle"]',
    ):
        for headers in ({}, {"last-event-id": "17-*"}, {"last-event-id": "17-0"}, {"last-event-id": "-"}):
            async with client.stream("GET", f"{path}?{query}", headers=headers) as response:
                assert response.status_code == 200
                assert response.headers["content-type"].startswith("text/event-stream")
                assert "location" not in response.headers
                assert (await anext(response.aiter_lines())).startswith(":")
