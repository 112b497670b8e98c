"""Event streams on a real socket without a worker: queued runs, disconnects, slow clients, and a stopping server."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient
from orjson import loads

from slipway.api.streams import event_streams
from slipway.api.streams.run_streams import accept_modes
from slipway.graphs.registry import Registry
from slipway.runs.cancel_reasons import BY_API, Action
from slipway.runs.events import Event
from slipway.settings import Settings
from slipway.sse_frames import PING, data_of
from slipway.threads.thread_position import START
from slipway_workers.process import WorkerProcess
from tests.http.conftest import PING_S, Served, new_thread, serving
from tests.http.raw_request import raw_request

Eventually = Callable[..., Awaitable[None]]


RUN = b'{"assistant_id": "hold", "input": {"value": 1}}'
RUN_WITH_CANCEL_ON_DISCONNECT = b'{"assistant_id": "hold", "input": {"value": 1}, "on_disconnect": "cancel"}'


async def test_a_stream_starts_before_a_worker_claims_the_run(served: Served, sdk: LangGraphClient) -> None:
    thread = await new_thread(sdk)
    async with raw_request(served.url, f"/threads/{thread}/runs/stream", RUN) as reader, asyncio.timeout(30):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        first = await reader.readuntil(b"\r\n\r\n")
        assert b"event: metadata\r\n" in first
        assert b"\r\nid: " in first


async def test_the_stream_of_a_queued_run_has_pings_without_blank_lines(served: Served, sdk: LangGraphClient) -> None:
    thread = await new_thread(sdk)
    async with raw_request(served.url, f"/threads/{thread}/runs/stream", RUN) as reader, asyncio.timeout(30):
        await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        began = time.monotonic()
        for _ in range(3):
            await reader.readuntil(PING)
            assert (await reader.readexactly(2)) == b"\r\n"  # the end of the chunk, no blank line in it
        assert time.monotonic() - began >= 2 * PING_S


async def test_a_waiting_response_sends_newlines_as_pings(served: Served, sdk: LangGraphClient) -> None:
    thread = await new_thread(sdk)
    async with raw_request(served.url, f"/threads/{thread}/runs/wait", RUN) as reader, asyncio.timeout(30):
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(2):
            assert await reader.readline() == b"1\r\n"
            assert await reader.readexactly(3) == b"\n\r\n"


@pytest.mark.parametrize("route", ["stream", "wait"])
async def test_a_disconnect_cancels_only_a_run_with_on_disconnect_cancel(
    served: Served, sdk: LangGraphClient, eventually: Eventually, route: str
) -> None:
    unaffected_thread, cancelled_thread = await new_thread(sdk), await new_thread(sdk)
    for thread, body in ((unaffected_thread, RUN), (cancelled_thread, RUN_WITH_CANCEL_ON_DISCONNECT)):
        async with raw_request(served.url, f"/threads/{thread}/runs/{route}", body) as reader:
            await reader.readuntil(b"\r\n\r\n")

    async def status(thread: str) -> str:
        return str((await sdk.runs.list(thread))[0]["status"])

    async def cancelled() -> bool:
        return await status(cancelled_thread) == "interrupted"

    await eventually(cancelled)
    await eventually(lambda: len(served.app.state.responses_in_progress) == 0)
    assert await status(unaffected_thread) == "pending"


async def test_a_cancelled_run_ends_its_streams_and_waits(
    served: Served, sdk: LangGraphClient, client: httpx.AsyncClient, eventually: Eventually
) -> None:
    thread = await new_thread(sdk)
    run = (await sdk.runs.create(thread, "hold", input={"value": 1}))["run_id"]
    run_path = f"/threads/{thread}/runs/{run}"
    replay = asyncio.create_task(client.get(f"{run_path}/stream?end=true", headers={"last-event-id": "-1"}))
    live_stream = asyncio.create_task(client.get(f"{run_path}/stream?end=true"))
    join = asyncio.create_task(client.get(f"{run_path}/join"))
    await eventually(lambda: len(served.app.state.responses_in_progress) == 3)
    assert (await client.post(f"{run_path}/cancel")).status_code == 202
    assert "event: end\r\n" in (await replay).text
    assert "event: end\r\n" in (await live_stream).text
    assert "event: metadata\r\n" not in (await live_stream).text
    assert (await join).json() == {}


async def test_a_stream_that_is_opened_while_its_run_ends_has_the_end_event(
    served: Served, sdk: LangGraphClient, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends after the server has read that it has not ended, and before it follows the run."""
    thread, log = await new_thread(sdk), served.services.events
    run = (await sdk.runs.create(thread, "hold", input={"value": 1}))["run_id"]
    newest = log.newest

    async def newest_before_the_end(run_id: str) -> Event | None:
        monkeypatch.undo()
        event = await newest(run_id)
        await served.services.runs.cancel(thread, run, Action.INTERRUPT, BY_API)
        return event

    monkeypatch.setattr(log, "newest", newest_before_the_end)
    response = await client.get(f"/threads/{thread}/runs/{run}/stream?end=true")
    assert re.fullmatch(r"retry: \d+\r\nevent: end\r\n[^\r]*\r\nid: [0-9-]+\r\n\r\n", response.text)


@pytest.mark.parametrize("route", ["stream", "wait"])
async def test_a_stopping_server_ends_its_responses_and_cancels_no_run(
    settings: Settings, graphs: Registry, sdk: LangGraphClient, eventually: Eventually, route: str
) -> None:
    thread = await new_thread(sdk)
    async with serving(settings, graphs) as stopping_server:
        response = asyncio.create_task(
            _read_all(stopping_server.url, f"/threads/{thread}/runs/{route}", RUN_WITH_CANCEL_ON_DISCONNECT)
        )
        await eventually(stopping_server.app.state.responses_in_progress.__len__)
    received = await asyncio.wait_for(response, 30)
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert (b"event: reconnect\r\n" in received) is (route == "stream")
    assert not received.endswith(b"0\r\n\r\n"), (
        "a client that does not support `reconnect` would treat the response as complete"
    )
    assert (await sdk.runs.list(thread))[0]["status"] == "pending"


async def _read_all(url: str, path: str, body: bytes) -> bytes:
    async with raw_request(url, path, body) as reader:
        return await reader.read()


async def test_a_slow_client_is_disconnected_and_resumes_without_a_gap(
    served: Served,
    sdk: LangGraphClient,
    client: httpx.AsyncClient,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_streams, "STALL_TIMEOUT_S", 0.2)
    thread = await new_thread(sdk)
    run = (await sdk.runs.create(thread, "hold", input={"value": 1}))["run_id"]
    pipeline, log = served.services.pipeline, served.services.keys.events(run)
    frame = b"event: custom\r\ndata: " + b'"%s"' % (b"x" * 20_000) + b"\r\n"
    await asyncio.gather(*(pipeline.send("XADD", log, "*", "n", "custom", "f", frame) for _ in range(2000)))
    await sdk.runs.cancel(thread, run)
    path = f"/threads/{thread}/runs/{run}/stream?stream_mode=custom"
    async with raw_request(served.url, path, method="GET", headers="last-event-id: -1\r\n") as reader:
        await eventually(served.app.state.responses_in_progress.__len__)
        (control,) = served.app.state.responses_in_progress
        await eventually(lambda: control.is_ending)
        read = await reader.read()
    assert b"event: slow_client\r\n" in read
    ids = re.findall(rb"\r\nid: ([0-9-]+)\r\n", read)
    assert len(ids) < 2000
    remaining = (await client.get(path, headers={"last-event-id": ids[-1].decode()})).content
    ids += re.findall(rb"\r\nid: ([0-9-]+)\r\n", remaining)
    assert len(ids) == len(set(ids)) == 2000


async def test_the_stream_of_an_expired_log_has_a_gap_event(
    served: Served, sdk: LangGraphClient, client: httpx.AsyncClient
) -> None:
    thread = await new_thread(sdk)
    run = (await sdk.runs.create(thread, "hold", input={"value": 1}))["run_id"]
    await sdk.runs.cancel(thread, run)
    await served.services.pipeline.send("DEL", served.services.keys.events(run))
    run_path = f"/threads/{thread}/runs/{run}"
    received = (await client.get(f"{run_path}/stream", headers={"last-event-id": "-1"})).text
    assert "event: gap\r\n" in received
    assert "event: end\r\n" not in received
    with_end = await client.get(f"{run_path}/stream?end=true", headers={"last-event-id": "-1"})
    assert (received in with_end.text, '"status":"interrupted"' in with_end.text) == (True, True)
    (last_id,) = re.findall(r"\r\nid: ([0-9-]+)\r\n", with_end.text)
    assert (await client.get(f"{run_path}/stream?end=true", headers={"last-event-id": last_id})).status_code == 204
    after_an_id = await client.get(f"{run_path}/stream?end=true", headers={"last-event-id": "1-0"})
    assert re.findall(r"event: (\w+)\r\n", after_an_id.text) == ["gap", "end"]
    assert (await client.get(f"{run_path}/stream")).text == ""
    assert (await client.get(f"{run_path}/join")).json() == {}


async def test_joining_a_run_with_an_expired_log_returns_the_stored_result(
    served: Served, sdk: LangGraphClient, client: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    for graph, interrupt_count in (("steps", 0), ("ask", 1)):
        thread = await new_thread(sdk)
        wait_response = await client.post(
            f"/threads/{thread}/runs/wait", json={"assistant_id": graph, "input": {"value": 1}}
        )
        run_path = wait_response.headers["content-location"]
        await served.services.pipeline.send("DEL", served.services.keys.events(run_path.rpartition("/")[2]))
        joined = (await client.get(f"{run_path}/join")).json()
        interrupts, expected = joined.pop("__interrupt__", []), wait_response.json()
        assert [(each["id"], each["value"]) for each in interrupts] == [
            (each["id"], each["value"]) for each in expected.pop("__interrupt__", [])
        ]
        assert (len(interrupts), joined) == (interrupt_count, expected)


@pytest.mark.parametrize(
    ("modes", "name", "passes"),
    [
        (["values"], "values|child:1", True),
        (["values"], "updates", False),
        (["messages-tuple"], "messages/partial", True),
        (["messages"], "messages", True),
        (["updates"], "end", True),
        (["updates"], "gap", True),
    ],
)
def test_modes_are_filtered(modes: list[str], name: str, passes: bool) -> None:
    accepts = accept_modes(modes)
    assert accepts is not None
    assert accepts(name) is passes


async def test_a_follower_of_a_thread_receives_a_run_that_was_queued_before(
    served: Served, sdk: LangGraphClient
) -> None:
    thread = await new_thread(sdk)
    run = (await sdk.runs.create(thread, "hold", input={"value": 1}))["run_id"]
    end_position = await served.services.thread_follower.end_position(thread)
    await sdk.runs.cancel(thread, run)
    async with asyncio.timeout(30), aclosing(served.services.thread_events.follow(thread, end_position)) as batches:
        (first, *_) = await anext(batches)
    assert run.encode() in first.block


async def test_both_streams_of_a_thread_have_its_runs_in_the_order_of_their_ordinals(
    served: Served, sdk: LangGraphClient
) -> None:
    thread, services = await new_thread(sdk), served.services
    runs = [(await sdk.runs.create(thread, "hold", input={"value": 1}))["run_id"] for _ in range(40)]
    runs = runs[20:] + runs[:20]  # the order in which they are cancelled and receive their ordinals
    for run in runs:
        await sdk.runs.cancel(thread, run)
    done: list[str] = []
    async with asyncio.timeout(30), aclosing(services.thread_events.follow(thread, START)) as batches:
        while len(done) < len(runs):
            done += [loads(data_of(each.block))["run_id"] for each in await anext(batches) if each.kind == "done"]
    assert done == runs
    protocol = [event.event_id.split(":")[1] async for batch in services.protocol_log.replay(thread) for event in batch]
    assert list(dict.fromkeys(protocol)) == runs


async def test_a_follower_of_a_thread_receives_a_run_that_starts_after_many_newer_ones(
    served: Served, sdk: LangGraphClient
) -> None:
    thread, services = await new_thread(sdk), served.services
    oldest, *newer = [(await sdk.runs.create(thread, "hold", input={"value": 1}))["run_id"] for _ in range(40)]
    for run in newer:
        await sdk.runs.cancel(thread, run)
    async with asyncio.timeout(30), aclosing(services.thread_events.follow(thread)) as batches:
        following = asyncio.ensure_future(anext(batches))
        await sdk.runs.cancel(thread, oldest)
        assert oldest.encode() in (await following)[0].block


async def test_the_stream_of_a_thread_ends_when_another_thread_gets_its_id(
    served: Served, sdk: LangGraphClient
) -> None:
    thread = await new_thread(sdk)
    await sdk.runs.cancel(thread, (await sdk.runs.create(thread, "hold", input={"value": 1}))["run_id"])
    async with asyncio.timeout(30), aclosing(served.services.thread_events.follow(thread, START)) as batches:
        while (await anext(batches))[-1].kind != "done":
            pass
        await sdk.threads.delete(thread)
        await sdk.threads.create(thread_id=thread)
        assert [batch async for batch in batches] == []
