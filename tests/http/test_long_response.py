"""Long responses to an ASGI client in this process: pings, limits of the buffer, disconnects, shutdown."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

from starlette.types import Message

from slipway.api.responses_in_progress import ResponsesInProgress
from slipway.api.streams.long_response import LongResponse, Producer
from slipway.api.streams.send_buffer import MAX_BUFFERED_BYTES, SendBuffer
from tests.waiting import Eventually, event_loop_iterations

PING = b": heartbeat\r\n"


class Client:
    """One ASGI client: stores the messages that it receives; it can stop reading, and disconnect."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.disconnected = asyncio.Event()
        self.is_reading = asyncio.Event()
        self.is_reading.set()

    async def receive(self) -> Message:
        await self.disconnected.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self.is_reading.wait()
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def ended(self) -> bool:
        return self.messages[-1]["type"] == "http.response.body" and not self.messages[-1]["more_body"]

    def request(self, produce: Producer, **options: Any) -> asyncio.Task[None]:
        arguments: dict[str, Any] = {
            "headers": {"a": "b"},
            "ping": PING,
            "ping_s": 60.0,
            "max_events": 10,
            "responses_in_progress": ResponsesInProgress(),
        } | options
        return asyncio.create_task(self._receive_all(LongResponse(produce, **arguments)))

    async def _receive_all(self, response: LongResponse) -> None:
        await response({"type": "http"}, self.receive, self.send)


async def forever(buffer: SendBuffer) -> None:
    await asyncio.Event().wait()


async def test_headers_are_sent_before_the_first_block(eventually: Eventually) -> None:
    client = Client()
    response = client.request(forever)
    await eventually(lambda: client.messages)
    assert client.messages == [{"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}]
    client.disconnected.set()
    await response


async def test_buffered_blocks_are_sent_in_one_message() -> None:
    async def produce(buffer: SendBuffer) -> None:
        buffer.put([b"1", b"2"])
        buffer.put([b"3"])

    client = Client()
    await client.request(produce)
    assert [message.get("body") for message in client.messages[1:]] == [b"123"]
    assert client.ended


async def test_pings_repeat_while_nothing_else_is_sent(eventually: Eventually) -> None:
    client = Client()
    response = client.request(forever, ping_s=0.01)
    await eventually(lambda: client.body.count(PING) >= 3)
    client.disconnected.set()
    await response
    assert client.body.replace(PING, b"") == b""


async def test_a_disconnect_is_detected_while_nothing_is_sent() -> None:
    reported = asyncio.Event()

    async def on_disconnect() -> None:
        reported.set()

    on_close, responses, client = ExitStack(), ResponsesInProgress(), Client()
    closed: list[bool] = []
    on_close.callback(closed.append, True)
    response = client.request(forever, on_disconnect=on_disconnect, on_close=on_close, responses_in_progress=responses)
    client.disconnected.set()
    await response
    assert reported.is_set()
    assert closed == [True]
    assert len(responses) == 0


async def test_on_disconnect_is_not_called_when_the_response_ends() -> None:
    async def on_disconnect() -> None:
        raise AssertionError("the client received the complete response")

    async def produce(buffer: SendBuffer) -> None:
        buffer.put([b"all"])

    client = Client()
    await client.request(produce, on_disconnect=on_disconnect)
    assert client.body == b"all"


async def test_the_buffer_for_a_client_that_does_not_read_is_limited_in_events() -> None:
    """One event more than `max_events`. The producer then replaces the buffered events with a last block."""
    buffered: list[int] = []
    ended = asyncio.Event()

    async def produce(buffer: SendBuffer) -> None:
        while await buffer.wait_until_not_full(0.05):
            buffer.put([b"x" * 10])
            buffered.append(buffer.count)
            await event_loop_iterations(1)  # the response can take the block
        buffer.discard_and_end(b"too slow")
        ended.set()

    client = Client()
    client.is_reading.clear()
    response = client.request(produce)
    await ended.wait()
    client.is_reading.set()
    await response
    assert client.body.endswith(b"too slow")
    assert max(buffered) == 11
    assert client.ended


async def test_a_client_that_does_not_read_receives_the_end_when_the_process_stops(eventually: Eventually) -> None:
    responses, closed, discarded = ResponsesInProgress(), asyncio.Event(), asyncio.Event()

    async def produce(buffer: SendBuffer) -> None:
        buffer.put([b"x"])
        await closed.wait()
        buffer.discard_and_end(b"too slow")
        discarded.set()

    client = Client()
    client.is_reading.clear()
    response = client.request(produce, responses_in_progress=responses)
    await eventually(responses.__len__)
    responses.close()
    closed.set()
    await discarded.wait()
    client.is_reading.set()
    await response
    assert client.ended


async def test_a_client_that_reads_slowly_receives_everything() -> None:
    async def produce(buffer: SendBuffer) -> None:
        for number in range(100):
            buffer.put([b"%d," % number])
            assert await buffer.wait_until_not_full(5)

    class SlowClient(Client):
        async def send(self, message: Message) -> None:
            await asyncio.sleep(0.001)  # it reads slowly
            await super().send(message)

    client = SlowClient()
    await client.request(produce)
    assert client.body == b"".join(b"%d," % number for number in range(100))


async def test_a_process_that_stops_ends_event_streams_and_cuts_off_waiting_responses(eventually: Eventually) -> None:
    for must_be_complete in (False, True):
        responses, client = ResponsesInProgress(), Client()
        response = client.request(forever, responses_in_progress=responses, must_be_complete=must_be_complete)
        await eventually(responses.__len__)
        responses.close()
        await response
        assert client.ended is not must_be_complete


async def test_a_response_that_starts_while_the_process_stops_ends_at_once() -> None:
    responses, client = ResponsesInProgress(), Client()
    responses.close()
    async with asyncio.timeout(10):
        await client.request(forever, responses_in_progress=responses)
    assert client.ended


async def test_a_complete_waiting_response_is_ended() -> None:
    async def produce(buffer: SendBuffer) -> None:
        buffer.finish(b"{}", complete=True)

    client = Client()
    await client.request(produce, must_be_complete=True)
    assert client.body == b"{}"
    assert client.ended


async def test_the_buffer_for_a_client_that_does_not_read_is_limited_in_bytes() -> None:
    """Of any number of events, at most `MAX_BUFFERED_BYTES` and one event more are buffered."""
    quarter, limit = b"x" * (MAX_BUFFERED_BYTES // 4), 4
    count, ended = 0, asyncio.Event()

    async def produce(buffer: SendBuffer) -> None:
        nonlocal count
        while count <= 2 * limit and await buffer.wait_until_not_full(0.05):
            buffer.put([quarter])
            count += 1
        buffer.discard_and_end(b"too slow")
        ended.set()

    client = Client()
    client.is_reading.clear()
    response = client.request(produce, max_events=1000)
    await ended.wait()
    client.is_reading.set()
    await response
    assert count == limit + 1
    assert client.body == b"too slow"


async def test_a_client_that_reads_receives_any_number_of_bytes() -> None:
    half, count = b"x" * (MAX_BUFFERED_BYTES // 2), 7

    async def produce(buffer: SendBuffer) -> None:
        for _ in range(count):
            buffer.put([half])
            assert await buffer.wait_until_not_full(30)

    client = Client()
    await client.request(produce, max_events=1000)
    assert len(client.body) == count * len(half)


async def test_on_disconnect_is_not_called_once_the_complete_result_is_buffered(eventually: Eventually) -> None:
    """The run has ended, so a client that disconnects then must not cancel it."""
    is_buffered = asyncio.Event()

    async def on_disconnect() -> None:
        raise AssertionError("the client received the complete response")

    async def produce(buffer: SendBuffer) -> None:
        buffer.finish(b"all", complete=True)
        is_buffered.set()

    client = Client()
    client.is_reading.clear()
    response = client.request(produce, on_disconnect=on_disconnect, must_be_complete=True)
    await is_buffered.wait()
    client.disconnected.set()
    await event_loop_iterations(5)  # the response detects the disconnect, and nothing shows it
    client.is_reading.set()
    await response
    assert client.body == b"all"
    assert client.ended
