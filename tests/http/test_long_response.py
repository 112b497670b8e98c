"""Event streams and waiting responses to an ASGI client in this process: pings, slow clients, disconnects, shutdown."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from sse_starlette import EventSourceResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.testing import capture_logs

from slipway.api.body_send import BodySend
from slipway.api.responses_in_progress import ResponsesInProgress
from slipway.api.streams import event_streams
from slipway.api.streams.event_streams import PART_BYTES, Blocks, EventStream, StreamOptions
from slipway.api.streams.response_control import ResponseControl
from slipway.api.streams.response_lifetime import UNWATCHED, ResponseLifetime
from slipway.api.streams.wait_response import WaitResponse
from slipway.sse_frames import PING
from tests.waiting import Eventually, event_loop_iterations

HEADERS = {"a": "b"}
RESPONSES = ("stream", "wait")


class Client:
    """One ASGI client: stores the messages that it receives; it can stop reading, and disconnect."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.disconnected = asyncio.Event()
        self.is_reading = asyncio.Event()
        self.is_reading.set()

    async def receive(self) -> Message:
        """Like a server, also returns when the response has ended."""
        await self.disconnected.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self.is_reading.wait()
        self.messages.append(message)
        if not message.get("more_body", True):
            self.disconnected.set()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def parts(self) -> list[bytes]:
        return [message["body"] for message in self.messages if message["type"] == "http.response.body"]

    @property
    def ended(self) -> bool:
        return self.messages[-1]["type"] == "http.response.body" and not self.messages[-1]["more_body"]

    def stream(
        self,
        batches: AsyncGenerator[Blocks, None],
        *,
        ping_s: float = 60.0,
        responses_in_progress: ResponsesInProgress | None = None,
        **options: Any,
    ) -> asyncio.Task[None]:
        """Requests an event stream."""
        stream_options = StreamOptions(**{"headers": HEADERS, "prefix": b""} | options)
        responses = ResponsesInProgress() if responses_in_progress is None else responses_in_progress
        stream = EventStream(batches, stream_options, ping_s=ping_s, responses_in_progress=responses)
        return asyncio.create_task(self.receive_all(stream))

    def idle(self, kind: str, **options: Any) -> asyncio.Task[None]:
        """Requests a response of this kind, on which nothing happens."""
        if kind == "stream":
            return self.stream(forever(), must_be_complete=True, **options)
        return self.wait(no_result, **options)

    def wait(
        self,
        result: Callable[[], Awaitable[bytes]],
        *,
        ping_s: float = 60.0,
        responses_in_progress: ResponsesInProgress | None = None,
        lifetime: ResponseLifetime = UNWATCHED,
    ) -> asyncio.Task[None]:
        """Requests a waiting response."""
        responses = ResponsesInProgress() if responses_in_progress is None else responses_in_progress
        response = WaitResponse(
            result, headers=HEADERS, ping_s=ping_s, responses_in_progress=responses, lifetime=lifetime
        )
        return asyncio.create_task(self.receive_all(response))

    async def receive_all(self, response: ASGIApp) -> None:
        await response({"type": "http", "method": "GET"}, self.receive, self.send)


async def forever() -> AsyncGenerator[Blocks, None]:
    await asyncio.Event().wait()
    yield Blocks([])


async def no_result() -> bytes:
    await asyncio.Event().wait()
    return b""


def collecting(controls: list[ResponseControl]) -> ResponseLifetime:
    """A lifetime that appends the control of its response to `controls`."""

    @contextmanager
    def watch(control: ResponseControl) -> Iterator[None]:
        controls.append(control)
        yield

    return ResponseLifetime(watch=watch)


async def batches_of(*batches: Blocks) -> AsyncGenerator[Blocks, None]:
    for batch in batches:
        yield batch


@pytest.mark.parametrize("kind", RESPONSES)
async def test_headers_are_sent_before_the_first_block(eventually: Eventually, kind: str) -> None:
    client = Client()
    response = client.idle(kind)
    await eventually(lambda: client.messages)
    assert client.messages == [{"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}]
    client.disconnected.set()
    await response


async def test_a_batch_is_sent_in_one_message_and_the_last_one_with_the_end() -> None:
    client = Client()
    batches = batches_of(Blocks([b"1", b"2"]), Blocks([]), Blocks([b"3", b"4"], are_last=True))
    await client.stream(batches, prefix=b"retry:")
    assert client.parts == [b"retry:12", b"34"]
    assert client.ended


async def test_a_large_batch_is_sent_in_parts_of_whole_blocks() -> None:
    block, count = b"x" * (PART_BYTES // 4), 10
    for are_last in (False, True):
        client = Client()
        await client.stream(batches_of(Blocks([block] * count, are_last=are_last)))
        assert [len(part) // len(block) for part in client.parts if part] == [4, 4, 2]


@pytest.mark.parametrize(("kind", "ping"), [("stream", PING), ("wait", b"\n")])
async def test_pings_repeat_while_nothing_else_is_sent(eventually: Eventually, kind: str, ping: bytes) -> None:
    client = Client()
    response = client.idle(kind, ping_s=0.01)
    await eventually(lambda: client.body.count(ping) >= 3)
    client.disconnected.set()
    await response
    assert client.body.replace(ping, b"") == b""


@pytest.mark.parametrize("kind", RESPONSES)
async def test_at_most_one_ping_waits_for_a_client_that_does_not_read(eventually: Eventually, kind: str) -> None:
    client = Client()
    response = client.idle(kind, ping_s=0.001)
    await eventually(lambda: client.messages)
    client.is_reading.clear()
    received = len(client.messages)
    await asyncio.sleep(0.02)  # many intervals
    client.disconnected.set()
    await response
    client.is_reading.set()
    await event_loop_iterations(3)
    assert len(client.messages) <= received + 1


@pytest.mark.parametrize("kind", RESPONSES)
async def test_a_disconnect_is_detected_while_nothing_is_sent(kind: str) -> None:
    reported = asyncio.Event()

    async def on_disconnect() -> None:
        reported.set()

    on_close, responses, client = ExitStack(), ResponsesInProgress(), Client()
    closed: list[bool] = []
    on_close.callback(closed.append, True)
    lifetime = ResponseLifetime(on_disconnect=on_disconnect, on_close=on_close)
    response = client.idle(kind, lifetime=lifetime, responses_in_progress=responses)
    client.disconnected.set()
    await response
    assert reported.is_set()
    assert closed == [True]
    assert len(responses) == 0


async def not_called() -> None:
    raise AssertionError("the client received the complete response")


async def test_on_disconnect_is_not_called_when_the_response_ends() -> None:
    client = Client()
    await client.stream(batches_of(Blocks([b"all"])), lifetime=ResponseLifetime(on_disconnect=not_called))
    assert client.body == b"all"


@pytest.mark.parametrize("kind", RESPONSES)
async def test_on_disconnect_is_not_called_while_the_end_waits_for_the_client(kind: str) -> None:
    """The run has ended, so a client that disconnects then must not cancel it."""
    client, ended = Client(), asyncio.Event()

    def end_of_run() -> bytes:
        client.is_reading.clear()
        ended.set()
        return b"all"

    async def batches() -> AsyncGenerator[Blocks, None]:
        yield Blocks([end_of_run()], are_last=True)

    async def result() -> bytes:
        return end_of_run()

    lifetime = ResponseLifetime(on_disconnect=not_called)
    if kind == "stream":
        response = client.stream(batches(), must_be_complete=True, lifetime=lifetime)
    else:
        response = client.wait(result, lifetime=lifetime)
    await ended.wait()
    await event_loop_iterations(5)  # the last bytes wait now, and nothing shows it
    client.disconnected.set()
    await event_loop_iterations(5)  # the response detects the disconnect, and nothing shows it
    client.is_reading.set()
    await response
    assert (client.body, client.ended) in ((b"all", True), (b"", False)), "all of it, or nothing of it"


@pytest.mark.parametrize("paused", [False, True])
async def test_the_end_of_a_stream_that_ends_at_once_can_wait(paused: bool) -> None:
    """The client does not read yet, or the stream is paused."""
    client, controls = Client(), list[ResponseControl]()

    async def batches() -> AsyncGenerator[Blocks, None]:
        if paused:
            controls[0].pause()
        else:
            client.is_reading.clear()
        yield Blocks([b"all"], are_last=True)

    response = client.stream(batches(), lifetime=collecting(controls), must_be_complete=True)
    await event_loop_iterations(10)  # the end waits now, and nothing shows it
    assert not response.done()
    controls[0].resume()
    client.is_reading.set()
    await response
    assert (client.body, client.ended) == (b"all", True)


async def test_nothing_is_pulled_for_a_client_that_does_not_read(
    eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is disconnected. The last block names the reason, and the response is incomplete."""
    monkeypatch.setattr(event_streams, "STALL_TIMEOUT_S", 0.05)
    client, pulled = Client(), 0

    async def batches() -> AsyncGenerator[Blocks, None]:
        nonlocal pulled
        for number in range(100):
            if number == 10:
                client.is_reading.clear()
            pulled += 1
            yield Blocks([b"x"])

    responses = ResponsesInProgress()
    response = client.stream(
        batches(), slow_client_event=b"too slow", must_be_complete=True, responses_in_progress=responses
    )
    await eventually(lambda: pulled == 11 and len(responses) == 0)
    client.is_reading.set()
    await response
    assert client.body == b"x" * 10 + b"too slow"
    assert not client.ended


async def test_a_client_that_reads_slowly_receives_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it takes longer than the limit, each part does not."""
    monkeypatch.setattr(event_streams, "STALL_TIMEOUT_S", 0.2)

    class SlowClient(Client):
        async def send(self, message: Message) -> None:
            await asyncio.sleep(0.01)  # it reads slowly
            await super().send(message)

    client = SlowClient()
    await client.stream(batches_of(*(Blocks([b"%d," % number]) for number in range(50))))
    assert client.body == b"".join(b"%d," % number for number in range(50))


async def test_a_client_that_reads_everything_is_not_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit passes several times while nothing is sent."""
    monkeypatch.setattr(event_streams, "STALL_TIMEOUT_S", 0.01)

    async def batches() -> AsyncGenerator[Blocks, None]:
        for _ in range(3):
            yield Blocks([b"x"])
            await asyncio.sleep(0.03)  # longer than the limit

    client = Client()
    await client.stream(batches(), slow_client_event=b"too slow", must_be_complete=True)
    assert (client.body, client.ended) == (b"xxx", True)


async def test_a_client_that_does_not_read_receives_the_end_when_the_process_stops(eventually: Eventually) -> None:
    responses, client = ResponsesInProgress(), Client()
    response = client.stream(forever(), responses_in_progress=responses, shutdown_event=b"reconnect")
    await eventually(lambda: client.messages)
    client.is_reading.clear()
    responses.close()
    await event_loop_iterations(5)  # the last block waits now, and nothing shows it
    client.is_reading.set()
    await response
    assert client.body == b"reconnect"
    assert client.ended


@pytest.mark.parametrize("kind", RESPONSES)
async def test_a_process_that_stops_cuts_off_responses_that_must_be_complete(eventually: Eventually, kind: str) -> None:
    responses, client = ResponsesInProgress(), Client()
    response = client.idle(kind, responses_in_progress=responses)
    await eventually(lambda: client.messages)
    responses.close()
    await response
    assert not client.ended


@pytest.mark.parametrize("kind", RESPONSES)
async def test_a_response_that_starts_while_the_process_stops_ends_at_once(kind: str) -> None:
    responses, client = ResponsesInProgress(), Client()
    responses.close()
    async with asyncio.timeout(10):
        await client.idle(kind, responses_in_progress=responses)
    assert client.messages[0]["type"] == "http.response.start"
    assert (len(client.messages), client.ended) == (2, False)


async def test_a_head_request_receives_the_headers() -> None:
    client = Client()
    stream = EventStream(forever(), StreamOptions(), ping_s=60, responses_in_progress=ResponsesInProgress())
    async with asyncio.timeout(10):
        await stream({"type": "http", "method": "HEAD"}, client.receive, client.send)
    assert (client.body, client.ended) == (b"", True)


@pytest.mark.parametrize("kind", RESPONSES)
async def test_a_response_whose_content_fails_is_incomplete_and_the_error_is_logged(kind: str) -> None:
    async def batches() -> AsyncGenerator[Blocks, None]:
        yield Blocks([b"first"])
        raise ValueError("broken")

    async def result() -> bytes:
        raise ValueError("broken")

    client = Client()
    with capture_logs() as lines:
        if kind == "stream":
            await client.stream(batches(), must_be_complete=True)
        else:
            await client.wait(result)
    assert client.body == (b"first" if kind == "stream" else b"")
    assert not client.ended
    assert [line["event"] for line in lines] == [f"http.{kind}_failed"]


@pytest.mark.parametrize("paused", [False, True])
async def test_a_revoked_stream_discards_what_was_pulled(eventually: Eventually, paused: bool) -> None:
    """A part waits because the client does not read, or because the stream is paused."""
    client, pulled, controls = Client(), asyncio.Event(), list[ResponseControl]()

    async def batches() -> AsyncGenerator[Blocks, None]:
        if paused:
            controls[0].pause()
        else:
            client.is_reading.clear()
        pulled.set()
        yield Blocks([b"secret"])

    response = client.stream(batches(), lifetime=collecting(controls), must_be_complete=True)
    await pulled.wait()
    await event_loop_iterations(3)  # the part waits now, and nothing shows it
    controls[0].revoke(b"denied")
    controls[0].resume()
    await event_loop_iterations(5)  # the part is discarded now, and nothing shows it
    client.is_reading.set()
    await response
    assert client.body == b"denied"
    assert client.ended


async def test_the_body_of_a_stream_does_not_pass_through_middleware() -> None:
    """An event that is sent to many clients would cost a call of each middleware for each client."""
    client, passed = Client(), list[str]()
    batches, responses = batches_of(Blocks([b"1"]), Blocks([b"2"])), ResponsesInProgress()
    stream = EventStream(batches, StreamOptions(prefix=b""), ping_s=60, responses_in_progress=responses)

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_note(message: Message) -> None:
            passed.append(message["type"])
            await send(message)

        await stream(scope, receive, send_and_note)

    scope = {"type": "http", "method": "GET"}
    await BodySend(middleware)(scope, client.receive, client.send)
    assert scope == {"type": "http", "method": "GET"}, "no reference cycle is left"
    assert client.parts == [b"1", b"2", b""]
    assert passed == ["http.response.start", "http.response.body"], "the start and the end"


async def test_responses_leave_no_reference_cycles() -> None:
    """Otherwise streams would cause garbage collections, which stop the process for some milliseconds."""

    async def result() -> bytes:
        return b"{}"

    async def receive_one_of_each() -> None:
        client = Client()
        await client.stream(batches_of(Blocks([b"1"]), Blocks([b"2"], are_last=True)))
        await client.wait(result)

    await receive_one_of_each()
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            await receive_one_of_each()
        await event_loop_iterations(3)  # tasks that were cancelled end
        assert gc.collect() < 20
    finally:
        gc.enable()


def test_the_methods_that_event_streams_replace_exist_in_the_library() -> None:
    """Otherwise an upgrade of the library would make them ineffective."""
    assert "_send_with_timeout" in vars(EventSourceResponse)
    assert "_send_with_timeout" in vars(EventStream)
    assert "_stream_response" in vars(EventSourceResponse)
