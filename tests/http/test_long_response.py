"""Long answers over a plain ASGI stand-in: beats, back pressure, clients that leave, clients that do not read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

from starlette.types import Message

from slipway.api.responses_in_progress import ResponsesInProgress
from slipway.api.streams.long_response import LongResponse, Producer
from slipway.api.streams.send_buffer import MAX_BUFFERED_BYTES, SendBuffer

BEAT = b": heartbeat\r\n"


class Client:
    """One ASGI client: keeps what is sent, may stop reading, may leave."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.left = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self.reads.wait()
        self.messages.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def ended(self) -> bool:
        return self.messages[-1]["type"] == "http.response.body" and not self.messages[-1]["more_body"]

    def ask(self, feed: Producer, **options: Any) -> asyncio.Task[None]:
        given: dict[str, Any] = {
            "headers": {"a": "b"},
            "heartbeat": BEAT,
            "heartbeat_s": 60.0,
            "max_events": 10,
            "responses_in_progress": ResponsesInProgress(),
        } | options
        return asyncio.create_task(self._ask(LongResponse(feed, **given)))

    async def _ask(self, answer: LongResponse) -> None:
        await answer({"type": "http"}, self.receive, self.send)


Eventually = Callable[..., Awaitable[None]]


async def forever(buffer: SendBuffer) -> None:
    await asyncio.Event().wait()


async def test_headers_go_out_at_once(eventually: Eventually) -> None:
    client = Client()
    asked = client.ask(forever)
    await eventually(lambda: client.messages)
    assert client.messages == [{"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}]
    client.left.set()
    await asked


async def test_what_waits_goes_out_in_one_message() -> None:
    async def feed(buffer: SendBuffer) -> None:
        buffer.put([b"1", b"2"])
        buffer.put([b"3"])

    client = Client()
    await client.ask(feed)
    assert [message.get("body") for message in client.messages[1:]] == [b"123"]
    assert client.ended


async def test_beats_are_steady(eventually: Eventually) -> None:
    client = Client()
    asked = client.ask(forever, heartbeat_s=0.01)
    await eventually(lambda: client.body.count(BEAT) >= 3)
    client.left.set()
    await asked
    assert client.body.replace(BEAT, b"") == b""


async def test_a_client_that_leaves_is_noticed_while_nothing_is_sent() -> None:
    gone = asyncio.Event()

    async def on_disconnect() -> None:
        gone.set()

    held, answers, client = ExitStack(), ResponsesInProgress(), Client()
    closed: list[bool] = []
    held.callback(closed.append, True)
    asked = client.ask(forever, on_disconnect=on_disconnect, on_close=held, responses_in_progress=answers)
    client.left.set()
    await asked
    assert gone.is_set()
    assert closed == [True]
    assert len(answers) == 0


async def test_a_client_that_leaves_after_the_end_has_not_gone() -> None:
    async def on_disconnect() -> None:
        raise AssertionError("it did not leave early")

    async def feed(buffer: SendBuffer) -> None:
        buffer.put([b"all"])

    client = Client()
    await client.ask(feed, on_disconnect=on_disconnect)
    assert client.body == b"all"


async def test_a_client_that_does_not_read_is_cut_with_a_word_and_no_more_is_kept() -> None:
    waiting: list[int] = []
    dropped = asyncio.Event()

    async def feed(buffer: SendBuffer) -> None:
        while await buffer.wait_until_not_full(0.05):
            buffer.put([b"x" * 10])
            waiting.append(buffer.count)
            await asyncio.sleep(0)
        buffer.discard_and_end(b"too slow")
        dropped.set()

    client = Client()
    client.reads.clear()
    asked = client.ask(feed)
    await dropped.wait()
    client.reads.set()
    await asked
    assert client.body.endswith(b"too slow")
    assert max(waiting) == 11
    assert client.ended


async def test_a_client_that_does_not_read_while_the_server_stops_gets_its_end(eventually: Eventually) -> None:
    answers, closed = ResponsesInProgress(), asyncio.Event()

    async def feed(buffer: SendBuffer) -> None:
        buffer.put([b"x"])
        await closed.wait()
        buffer.discard_and_end(b"too slow")

    client = Client()
    client.reads.clear()
    asked = client.ask(feed, responses_in_progress=answers)
    await eventually(answers.__len__)
    answers.close()
    closed.set()
    await asyncio.sleep(0)
    client.reads.set()
    await asked
    assert client.ended


async def test_a_client_that_reads_slowly_gets_everything() -> None:
    async def feed(buffer: SendBuffer) -> None:
        for number in range(100):
            buffer.put([b"%d," % number])
            assert await buffer.wait_until_not_full(5)

    class Slow(Client):
        async def send(self, message: Message) -> None:
            await asyncio.sleep(0.001)
            await super().send(message)

    client = Slow()
    await client.ask(feed)
    assert client.body == b"".join(b"%d," % number for number in range(100))


async def test_closing_ends_streams_cleanly_and_breaks_off_what_is_waited_for(eventually: Eventually) -> None:
    for must_be_complete in (False, True):
        answers, client = ResponsesInProgress(), Client()
        asked = client.ask(forever, responses_in_progress=answers, must_be_complete=must_be_complete)
        await eventually(answers.__len__)
        answers.close()
        await asked
        assert client.ended is not must_be_complete


async def test_after_closing_nothing_new_begins() -> None:
    answers, client = ResponsesInProgress(), Client()
    answers.close()
    async with asyncio.timeout(10):
        await client.ask(forever, responses_in_progress=answers)
    assert client.ended


async def test_a_whole_answer_is_ended() -> None:
    async def feed(buffer: SendBuffer) -> None:
        buffer.finish(b"{}", complete=True)

    client = Client()
    await client.ask(feed, must_be_complete=True)
    assert client.body == b"{}"
    assert client.ended


async def test_a_client_that_does_not_read_is_bounded_in_bytes() -> None:
    """However few events that is: it may fall `MAX_BUFFERED_BYTES` behind, and one event more."""
    quarter, room_for = b"x" * (MAX_BUFFERED_BYTES // 4), 4
    count = 0

    async def feed(buffer: SendBuffer) -> None:
        nonlocal count
        while count <= 2 * room_for and await buffer.wait_until_not_full(0.05):
            buffer.put([quarter])
            count += 1
        buffer.discard_and_end(b"too slow")

    client = Client()
    client.reads.clear()
    asked = client.ask(feed, max_events=1000)
    await asyncio.sleep(0)
    await asyncio.wait({asked}, timeout=0.1)
    client.reads.set()
    await asked
    assert count == room_for + 1
    assert client.body == b"too slow"


async def test_a_client_that_reads_gets_any_number_of_bytes() -> None:
    half, count = b"x" * (MAX_BUFFERED_BYTES // 2), 7

    async def feed(buffer: SendBuffer) -> None:
        for _ in range(count):
            buffer.put([half])
            assert await buffer.wait_until_not_full(30)

    client = Client()
    await client.ask(feed, max_events=1000)
    assert len(client.body) == count * len(half)


async def test_a_client_that_leaves_while_the_rest_is_sent_has_not_gone(eventually: Eventually) -> None:
    """Its run must not be cancelled: nothing was left to wait for."""
    put = asyncio.Event()

    async def on_disconnect() -> None:
        raise AssertionError("it did not leave early")

    async def feed(buffer: SendBuffer) -> None:
        buffer.finish(b"all", complete=True)
        put.set()

    client = Client()
    client.reads.clear()
    asked = client.ask(feed, on_disconnect=on_disconnect, must_be_complete=True)
    await put.wait()
    client.left.set()
    for _ in range(5):  # the server notices that it has left
        await asyncio.sleep(0)
    client.reads.set()
    await asked
    assert client.body == b"all"
    assert client.ended
