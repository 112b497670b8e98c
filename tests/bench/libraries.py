"""Slipway's own parts and the libraries that they replace, each in this process and with a Valkey of its own.

`ARCHITECTURE.md` lists the figures as reasons for the parts.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Final

import httpx
from arq.connections import RedisSettings, create_pool
from arq.worker import Worker, func
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from redis.asyncio import Redis
from sse_starlette import EventSourceResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slipway.api.in_process_client.transport import InProcessTransport
from slipway.api.responses_in_progress import ResponsesInProgress
from slipway.api.streams.event_streams import Blocks, EventStream, StreamOptions
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.server_pipeline import ServerPipeline
from slipway.redis.server_subscriber import ServerSubscriber
from slipway.runs.queue_scripts import QueueScripts
from slipway.serialization.serde import Serde
from tests.bench.figures import Figure
from tests.bench.setup import Bench
from tests.embedded_valkey import embedded_valkey

CLIENTS: Final = 200
CONCURRENT_STREAMS: Final = 32
EVENT: Final = b'event: values\r\ndata: {"value": 1}\r\n'
EVENT_INTERVAL_S: Final = 0.05
EVENTS_OF_GRAPH_CLIENT: Final = 20


async def measure(bench: Bench) -> list[Figure]:
    """Delays in ms, CPU in µs, numbers of connections and tasks, and memory in KiB."""
    with embedded_valkey() as url:
        return [
            *serializers(bench.size(300, 3)),
            *await wake_delays(url, bench.size(40, 2)),
            *await subscribers(url, bench.size(200, 5)),
            *await event_streams(bench.size(50, 2)),
            *await in_process_transports(),
        ]


def serializers(times: int) -> list[Figure]:
    """A conversation of 20 messages, written and read."""
    pairs = ((HumanMessage(f"question {n} " * 10), AIMessage(f"answer {n} " * 40)) for n in range(10))
    state = {"messages": [message for pair in pairs for message in pair], "counter": 3}
    library, own = JsonPlusSerializer(), Serde()
    return [
        Figure("serializer, 20 messages, LangGraph's", _cpu_us(lambda: _round_trip(library, state), times), "µs"),
        Figure("serializer, 20 messages, Slipway's", _cpu_us(lambda: _round_trip(own, state), times), "µs"),
    ]


def _round_trip(serializer: JsonPlusSerializer | Serde, state: dict[str, Any]) -> None:
    restored = serializer.loads_typed(serializer.dumps_typed(state))
    assert restored == state


def _cpu_us(call: Callable[[], None], times: int) -> float:
    call()  # what is created once, such as encoders of classes
    started = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - started) / times * 1e6


async def wake_delays(url: str, times: int) -> list[Figure]:
    """From a queued job to its start in an idle worker: arq with its default settings, and the wake-up of claims."""
    started: asyncio.Queue[float] = asyncio.Queue()

    async def job(ctx: dict[str, Any]) -> None:
        started.put_nowait(time.perf_counter())

    pool = await create_pool(RedisSettings(unix_socket_path=url.removeprefix("unix://")))
    worker = Worker(functions=[func(job, name="job")], redis_pool=pool, handle_signals=False)
    working = asyncio.create_task(worker.main())
    arq_ms = []
    for _ in range(times):
        await asyncio.sleep(random.uniform(0.1, 0.8))
        queued = time.perf_counter()
        await pool.enqueue_job("job")
        arq_ms.append((await started.get() - queued) * 1000)
    working.cancel()
    await asyncio.gather(working, *worker.tasks.values(), return_exceptions=True)
    await pool.aclose()

    return [
        Figure("idle worker receives a job, arq, p50", statistics.median(arq_ms), "ms"),
        Figure("idle worker is woken, Slipway, p50", statistics.median(await _own_delays(url, times)), "ms"),
    ]


async def _own_delays(url: str, times: int) -> list[float]:
    """From the script that wakes a worker to the message that it receives, in ms."""
    keys, woken = Keys("bench"), asyncio.Event()
    sender, claiming = (ServerPipeline(Address(url), "bench", patience_s=5) for _ in range(2))
    subscriber = ServerSubscriber(Address(url), "bench")
    await asyncio.gather(sender.open(), claiming.open(), subscriber.open())
    await subscriber.subscribe(keys.control("w"), lambda _: woken.set())
    queued_by, claimed_by = QueueScripts(sender, keys), QueueScripts(claiming, keys)
    delays_ms = []
    for _ in range(times):
        await claimed_by.run_claim("w", 1, 1000)
        woken.clear()
        await asyncio.sleep(random.uniform(0, 0.05))
        await sender.send("ZADD", keys.queue, 1, "job")
        queued = time.perf_counter()
        waking = asyncio.ensure_future(queued_by.watch())
        await woken.wait()
        delays_ms.append((time.perf_counter() - queued) * 1000)
        await waking
        await sender.send("DEL", keys.queue)
    await asyncio.gather(sender.close(), claiming.close(), subscriber.close())
    return delays_ms


async def subscribers(url: str, messages: int) -> list[Figure]:
    """CPU of this process for one message that 200 clients receive, and the connections that they need."""
    redis = Redis.from_url(url)
    before = await _connections(redis)
    pubsubs = [Redis.from_url(url).pubsub() for _ in range(CLIENTS)]
    await asyncio.gather(*(pubsub.subscribe("redis-py") for pubsub in pubsubs))
    library_connections = await _connections(redis) - before

    async def read(pubsub: Any) -> None:
        received = 0
        while received < messages:
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=None)
            received += message is not None

    library_us = await _cpu_of_messages(redis, "redis-py", messages, [read(pubsub) for pubsub in pubsubs])
    for pubsub in pubsubs:
        await pubsub.aclose()

    before = await _connections(redis)
    subscriber = ServerSubscriber(Address(url), "bench")
    await subscriber.open()
    queues: list[asyncio.Queue[bytes | None]] = [asyncio.Queue() for _ in range(CLIENTS)]

    def deliver(message: bytes | None) -> None:
        for queue in queues:
            queue.put_nowait(message)

    await subscriber.subscribe("slipway", deliver)
    own_connections = await _connections(redis) - before

    async def take(queue: asyncio.Queue[bytes | None]) -> None:
        for _ in range(messages):
            await queue.get()

    own_us = await _cpu_of_messages(redis, "slipway", messages, [take(queue) for queue in queues])
    await subscriber.close()
    await redis.aclose()
    return [
        Figure("200 subscribers, redis-py, connections", library_connections, ""),
        Figure("200 subscribers, Slipway, connections", own_connections, ""),
        Figure("200 subscribers, redis-py, CPU per message", library_us / 1000, "ms"),
        Figure("200 subscribers, Slipway, CPU per message", own_us / 1000, "ms"),
    ]


async def _cpu_of_messages(redis: Redis, channel: str, messages: int, readers: list[Awaitable[None]]) -> float:
    reading = asyncio.gather(*readers)
    await asyncio.sleep(0.1)
    started = time.process_time()
    for _ in range(messages):
        await redis.publish(channel, EVENT)
    await reading
    return (time.process_time() - started) / messages * 1e6


async def _connections(redis: Redis) -> int:
    return len(await redis.client_list())


async def event_streams(rounds: int) -> list[Figure]:
    """CPU for a stream of 3 events, and for each event of a longer one, without a server."""
    figures = []
    for name, respond in (("sse-starlette", _library_stream), ("Slipway", _own_stream)):
        short_us, long_us = [await _stream_us(respond, events, rounds) for events in (3, 103)]
        figures += [
            Figure(f"event stream, {name}, CPU of a short stream", short_us, "µs"),
            Figure(f"event stream, {name}, CPU of an event", (long_us - short_us) / 100, "µs"),
        ]
    return figures


async def _stream_us(respond: Callable[[int], ASGIApp], events: int, rounds: int) -> float:
    async def stream() -> None:
        ended = asyncio.Event()

        async def receive() -> Message:
            await ended.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if not message.get("more_body", True):
                ended.set()

        await respond(events)({"type": "http", "method": "GET"}, receive, send)

    await asyncio.gather(*(stream() for _ in range(CONCURRENT_STREAMS)))
    started = time.process_time()
    for _ in range(rounds):
        await asyncio.gather(*(stream() for _ in range(CONCURRENT_STREAMS)))
    return (time.process_time() - started) / rounds / CONCURRENT_STREAMS * 1e6


def _library_stream(events: int) -> ASGIApp:
    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(events):
            await asyncio.sleep(0)
            yield EVENT

    return EventSourceResponse(blocks(), ping=5, send_timeout=5.0)


def _own_stream(events: int) -> ASGIApp:
    async def batches() -> AsyncGenerator[Blocks, None]:
        for number in range(events):
            await asyncio.sleep(0)
            yield Blocks([EVENT], are_last=number == events - 1)

    return EventStream(batches(), StreamOptions(prefix=b""), ping_s=5, responses_in_progress=_RESPONSES)


_RESPONSES: Final = ResponsesInProgress()


async def in_process_transports() -> list[Figure]:
    """Until a client in the same process receives the first of 20 events that are sent every 50 ms."""
    return [
        Figure("first of 20 events, httpx.ASGITransport", await _first_event_ms(httpx.ASGITransport(_events)), "ms"),
        Figure("first of 20 events, Slipway", await _first_event_ms(InProcessTransport(_events)), "ms"),
    ]


async def _events(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(EVENTS_OF_GRAPH_CLIENT):
        await send({"type": "http.response.body", "body": EVENT, "more_body": True})
        await asyncio.sleep(EVENT_INTERVAL_S)
    await send({"type": "http.response.body", "body": b""})


async def _first_event_ms(transport: httpx.ASGITransport) -> float:
    async with httpx.AsyncClient(transport=transport) as client:
        started = time.perf_counter()
        async with client.stream("GET", "http://api/") as response:
            await anext(response.aiter_raw())
            return (time.perf_counter() - started) * 1000
