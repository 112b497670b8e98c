"""The client with which scenarios send requests. It records the response to each request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import websockets

from tests.differential.comparison import UUID, Json
from tests.differential.webhook_receiver import WebhookReceiver

RECORDED_HEADERS: Final = (
    "content-type",
    "location",
    "content-location",
    "x-pagination-total",
    "x-pagination-next",
    "cache-control",
)
DEADLINE_S: Final = 30.0


@dataclass(frozen=True)
class Step:
    """One request with its response, or one value that a scenario recorded."""

    label: str
    value: Json


@dataclass
class Client:
    """Sends the requests of one scenario to one server. Records all responses, except with `record=False`."""

    server_name: str
    url: str
    http: httpx.AsyncClient
    webhooks: WebhookReceiver
    steps: list[Step] = field(default_factory=list)

    def record(self, label: str, value: Json) -> None:
        """Records a value that is not the response to one request."""
        self.steps.append(Step(label, value))

    async def call(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        record: bool = True,
        return_status: bool = False,
    ) -> Json:
        """Sends one request. Returns the body of the response: JSON or, if it is no JSON, text. With
        `return_status`, returns the status code instead."""
        payload: dict[str, Any] = {"json": body} if body is not None else {"content": content} if content else {}
        request_headers = {"content-type": "application/json", **(headers or {})} if content is not None else headers
        response = await self._send(method, path, params=_params(params), headers=request_headers, **payload)
        if response is None:
            if record:
                self.record(_label(method, path), {"status": "no response"})
            return None
        response_body = _decoded(response.content)
        if record:
            self._record_response(method, path, response, response_body)
        return response.status_code if return_status else response_body

    async def _send(self, method: str, path: str, **request: Any) -> httpx.Response | None:
        """Sends the request a second time if the connection was closed: the reference server closes it after a 500."""
        for _ in range(2):
            with contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError):
                return await self.http.request(method, path, **request)
        return None

    def _record_response(self, method: str, path: str, response: httpx.Response, body: Json) -> None:
        value = {"status": response.status_code, "headers": _recorded_headers(response), "body": body}
        self.record(_label(method, path), value)

    async def get(self, path: str, **options: Any) -> Json:
        return await self.call("GET", path, **options)

    async def post(self, path: str, body: Json = None, **options: Any) -> Json:
        return await self.call("POST", path, {} if body is None and "content" not in options else body, **options)

    async def patch(self, path: str, body: Json, **options: Any) -> Json:
        return await self.call("PATCH", path, body, **options)

    async def put(self, path: str, body: Json, **options: Any) -> Json:
        return await self.call("PUT", path, body, **options)

    async def delete(self, path: str, body: Json = None, **options: Any) -> Json:
        return await self.call("DELETE", path, body, **options)

    async def stream(
        self,
        path: str,
        body: Json = None,
        *,
        method: str = "POST",
        params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        until: Callable[[list[Json]], object] | None = None,
        within_s: float = DEADLINE_S,
        record: bool = True,
    ) -> list[Json]:
        """Returns the events `{event, data, id}` of a stream. Stops reading when `until` is true for the events so far,
        or after `within_s` seconds."""
        events: list[Json] = []
        ended = "closed by the server"
        async with self.http.stream(method, path, json=body, params=_params(params), headers=headers) as response:
            if "text/event-stream" not in response.headers.get("content-type", ""):
                response_body = _decoded(await response.aread())
                if record:
                    self._record_response(method, path, response, response_body)
                return []
            try:
                async with asyncio.timeout(within_s):
                    async for event in _events(response):
                        events.append(event)
                        if until is not None and until(events):
                            ended = "closed by the client"
                            break
            except TimeoutError:
                ended = "timeout"
            except httpx.TransportError:
                ended = "connection error"
        if record:
            value = {
                "status": response.status_code,
                "headers": _recorded_headers(response),
                "events": _with_comparable_ids(events),
                "ended": ended,
            }
            self.record(_label(method, path), value)
        return events

    @contextlib.asynccontextmanager
    async def streaming(
        self, path: str, body: Json = None, *, method: str = "POST", until: Callable[[list[Json]], object] | None = None
    ) -> AsyncIterator[asyncio.Task[list[Json]]]:
        """Reads a stream concurrently with the block. At the end of the block, waits for the end of the stream and
        records its events."""
        connected = asyncio.Event()
        task = asyncio.create_task(self._read_stream(path, body, method, connected, until))
        waiting = asyncio.create_task(connected.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        yield task
        try:
            events = await asyncio.wait_for(task, DEADLINE_S)
        except TimeoutError:
            events = [{"event": "the stream did not end"}]
        self.record(_label(method, path), {"events": _with_comparable_ids(events)})

    async def _read_stream(
        self,
        path: str,
        body: Json,
        method: str,
        connected: asyncio.Event,
        until: Callable[[list[Json]], object] | None,
    ) -> list[Json]:
        events: list[Json] = []
        async with self.http.stream(method, path, json=body) as response:
            connected.set()
            async for event in _events(response):
                events.append(event)
                if until is not None and until(events):
                    break
        return events

    async def websocket(
        self, path: str, frames: Sequence[Json], until: Callable[[list[Json]], object], *, record: bool = True
    ) -> list[Json]:
        """Sends `frames` over a WebSocket. Returns the received frames as soon as `until` is true for them."""
        received: list[Json] = []
        ended = "closed by the client"
        try:
            async with asyncio.timeout(DEADLINE_S), websockets.connect(self.url.replace("http", "ws", 1) + path) as ws:
                for frame in frames:
                    await ws.send(frame if isinstance(frame, str) else json.dumps(frame))
                async for text in ws:
                    received.append(json.loads(text))
                    if until(received):
                        break
                else:
                    ended = f"closed {ws.close_code}"
        except TimeoutError:
            ended = "timeout"
        except websockets.WebSocketException as error:
            ended = f"{type(error).__name__}: {error}"
        if record:
            self.record(_label("WS", path), {"frames": received, "ended": ended})
        return received

    async def create_thread(self, **body: Json) -> str:
        """Creates a thread and returns its id. Records nothing."""
        return str((await self.post("/threads", body, record=False))["thread_id"])

    async def run_and_wait(
        self, thread: str, graph: str, input: Json = None, *, record: bool = True, **body: Json
    ) -> Json:
        """Creates a run on the thread and returns its waiting response."""
        body = {"assistant_id": graph, "input": input, **body}
        return await self.post(f"/threads/{thread}/runs/wait", body, record=record)

    async def get_state(self, thread: str, **params: Json) -> Json:
        """The newest state of the thread."""
        return await self.get(f"/threads/{thread}/state", params=params)

    async def get_history(self, thread: str, *, record: bool = True, **body: Json) -> Json:
        """The newest 100 states of the thread, or as many as `limit` says."""
        return await self.post(f"/threads/{thread}/history", {"limit": 100, **body}, record=record)

    async def poll(self, path: str, predicate: Callable[[Json], object], *, method: str = "GET") -> Json:
        """Repeats the request until `predicate` is true for the body of the response. Records nothing.

        Raises `TimeoutError` after `DEADLINE_S` seconds.
        """
        deadline = time.monotonic() + DEADLINE_S
        while True:
            body = await self.call(method, path, record=False)
            if predicate(body):
                return body
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} still returns {body!r:.300}")
            await asyncio.sleep(0.05)

    async def wait_ended(self, thread: str, run: str) -> Json:
        """Waits until the run ended, and returns it. Records nothing."""
        return await self.poll(
            f"/threads/{thread}/runs/{run}", lambda record: record.get("status") not in ("pending", "running")
        )

    async def wait_running(self, thread: str, run: str) -> Json:
        """Waits until the run has started, and returns it. Records nothing."""
        return await self.poll(f"/threads/{thread}/runs/{run}", lambda record: record.get("status") != "pending")

    async def wait_webhook(self, name: str) -> Json:
        """Waits for the webhook of that name, and records its body."""
        body = await self.webhooks.next_of(name, DEADLINE_S)
        self.record(f"webhook {name}", body)
        return body

    def webhook_url(self, name: str) -> str:
        """The URL at which `wait_webhook(name)` receives."""
        return f"{self.webhooks.url}/{name}"


def _with_comparable_ids(events: Sequence[Json]) -> list[Json]:
    """Replaces each event id by `True`: only its presence is compared."""
    return [{**event, "id": True} if "id" in event else event for event in events]


def _params(params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None) -> Any:
    return dict(params) if isinstance(params, Mapping) else params


def _label(method: str, path: str) -> str:
    return f"{method} {re.sub(UUID, '{id}', path)}"


def _recorded_headers(response: httpx.Response) -> dict[str, str]:
    return {name: response.headers[name] for name in RECORDED_HEADERS if name in response.headers}


def _decoded(content: bytes) -> Json:
    """JSON if possible, else text."""
    try:
        return json.loads(content) if content else None
    except ValueError:
        return content.decode(errors="replace")


async def _events(response: httpx.Response) -> AsyncIterator[Json]:
    """The server-sent events of the response, without comments."""
    event: dict[str, Json] = {}
    data_lines: list[str] = []
    async for line in response.aiter_lines():
        if not line:
            if event or data_lines:
                if data_lines:
                    event["data"] = _decoded("\n".join(data_lines).encode())
                yield event
            event, data_lines = {}, []
        elif line.startswith(":"):
            continue
        else:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data_lines.append(value)
            else:
                event[name] = value
