"""A client that writes down what a server answers: the scenarios talk to both servers through it."""

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

HEADERS: Final = (
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
    """One request and its answer, or one value that a scenario noted."""

    label: str
    answer: Json


@dataclass
class Client:
    """One scenario's client of one server. Whatever it is asked is recorded, unless the scenario says otherwise."""

    side: str
    url: str
    http: httpx.AsyncClient
    hooks: WebhookReceiver
    steps: list[Step] = field(default_factory=list)

    def note(self, label: str, answer: Json) -> None:
        """Record a value that is no answer of one request."""
        self.steps.append(Step(label, answer))

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
        status: bool = False,
    ) -> Json:
        """One request; the body of the answer as JSON, or as text, or its status alone."""
        what: dict[str, Any] = {"json": body} if body is not None else {"content": content} if content else {}
        sent = {"content-type": "application/json", **(headers or {})} if content is not None else headers
        answer = await self._answer(method, path, params=_params(params), headers=sent, **what)
        if answer is None:
            if record:
                self.note(_label(method, path), {"status": "no answer"})
            return None
        read = _body(answer.content)
        if record:
            self.note(_label(method, path), {"status": answer.status_code, "headers": _kept(answer), "body": read})
        return answer.status_code if status else read

    async def _answer(self, method: str, path: str, **request: Any) -> httpx.Response | None:
        """Asked once more where the connection is gone: the reference breaks it after an answer of 500."""
        for _ in range(2):
            with contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError):
                return await self.http.request(method, path, **request)
        return None

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
        """All events of a stream, or those until the predicate is true of them; each is `{event, data, id}`."""
        events: list[Json] = []
        ended = "closed"
        async with self.http.stream(method, path, json=body, params=_params(params), headers=headers) as answer:
            if "text/event-stream" not in answer.headers.get("content-type", ""):
                read = _body(await answer.aread())
                if record:
                    self.note(
                        _label(method, path), {"status": answer.status_code, "headers": _kept(answer), "body": read}
                    )
                return []
            try:
                async with asyncio.timeout(within_s):
                    async for event in _events(answer):
                        events.append(event)
                        if until is not None and until(events):
                            ended = "left"
                            break
            except TimeoutError:
                ended = "silent"
            except httpx.TransportError:
                ended = "broken off"
        if record:
            told = {
                "status": answer.status_code,
                "headers": _kept(answer),
                "events": _with_comparable_ids(events),
                "ended": ended,
            }
            self.note(_label(method, path), told)
        return events

    @contextlib.asynccontextmanager
    async def streaming(
        self, path: str, body: Json = None, *, method: str = "POST", until: Callable[[list[Json]], object] | None = None
    ) -> AsyncIterator[asyncio.Task[list[Json]]]:
        """A stream that is read beside what the block does, until it ends; recorded where the block ends."""
        answered = asyncio.Event()
        task = asyncio.create_task(self._read(path, body, method, answered, until))
        waiting = asyncio.create_task(answered.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        yield task
        try:
            events = await asyncio.wait_for(task, DEADLINE_S)
        except TimeoutError:
            events = [{"event": "never ended"}]
        self.note(_label(method, path), {"events": _with_comparable_ids(events)})

    async def _read(
        self,
        path: str,
        body: Json,
        method: str,
        answered: asyncio.Event,
        until: Callable[[list[Json]], object] | None,
    ) -> list[Json]:
        events: list[Json] = []
        async with self.http.stream(method, path, json=body) as answer:
            answered.set()
            async for event in _events(answer):
                events.append(event)
                if until is not None and until(events):
                    break
        return events

    async def socket(
        self, path: str, frames: Sequence[Json], until: Callable[[list[Json]], object], *, record: bool = True
    ) -> list[Json]:
        """What a WebSocket says to these frames, until the predicate is true of it."""
        said: list[Json] = []
        ended = "left"
        try:
            async with asyncio.timeout(DEADLINE_S), websockets.connect(self.url.replace("http", "ws", 1) + path) as ws:
                for frame in frames:
                    await ws.send(frame if isinstance(frame, str) else json.dumps(frame))
                async for text in ws:
                    said.append(json.loads(text))
                    if until(said):
                        break
                else:
                    ended = f"closed {ws.close_code}"
        except TimeoutError:
            ended = "silent"
        except websockets.WebSocketException as error:
            ended = f"{type(error).__name__}: {error}"
        if record:
            self.note(_label("WS", path), {"frames": said, "ended": ended})
        return said

    # what most scenarios begin with; not recorded

    async def thread(self, **body: Json) -> str:
        """A new thread."""
        return str((await self.post("/threads", body, record=False))["thread_id"])

    async def run(self, thread: str, graph: str, input: Json = None, *, record: bool = True, **body: Json) -> Json:
        """A run on the thread and what its `wait` gives."""
        body = {"assistant_id": graph, "input": input, **body}
        return await self.post(f"/threads/{thread}/runs/wait", body, record=record)

    async def state(self, thread: str, **params: Json) -> Json:
        """The newest state, recorded."""
        return await self.get(f"/threads/{thread}/state", params=params)

    async def history(self, thread: str, *, record: bool = True, **body: Json) -> Json:
        """All states, recorded."""
        return await self.post(f"/threads/{thread}/history", {"limit": 100, **body}, record=record)

    async def until(self, path: str, predicate: Callable[[Json], object], *, method: str = "GET") -> Json:
        """Ask until the predicate is true of the answer; nothing is recorded."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            answer = await self.call(method, path, record=False)
            if predicate(answer):
                return answer
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} stays {answer!r:.300}")
            await asyncio.sleep(0.05)

    async def ended(self, thread: str, run: str) -> Json:
        """Wait until the run is over; the run."""
        return await self.until(
            f"/threads/{thread}/runs/{run}", lambda answer: answer.get("status") not in ("pending", "running")
        )

    async def running(self, thread: str, run: str) -> Json:
        """Wait until the run executes and its first node has begun."""
        return await self.until(f"/threads/{thread}/runs/{run}", lambda answer: answer.get("status") != "pending")

    async def webhook(self, name: str) -> Json:
        """Wait for the webhook of that name, and record its body."""
        body = await self.hooks.received(name, DEADLINE_S)
        self.note(f"webhook {name}", body)
        return body

    def hook_url(self, name: str) -> str:
        """Where a webhook of that name is to go."""
        return f"{self.hooks.url}/{name}"


def _with_comparable_ids(events: Sequence[Json]) -> list[Json]:
    """Of an event's id only whether there is one is compared."""
    return [{**event, "id": True} if "id" in event else event for event in events]


def _params(params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None) -> Any:
    return dict(params) if isinstance(params, Mapping) else params


def _label(method: str, path: str) -> str:
    return f"{method} {re.sub(UUID, '{id}', path)}"


def _kept(answer: httpx.Response) -> dict[str, str]:
    return {name: answer.headers[name] for name in HEADERS if name in answer.headers}


def _body(content: bytes) -> Json:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return content.decode(errors="replace")


async def _events(answer: httpx.Response) -> AsyncIterator[Json]:
    """Server-sent events; comments are left out, and of an id only whether there is one is kept."""
    event: dict[str, Json] = {}
    lines: list[str] = []
    async for line in answer.aiter_lines():
        if not line:
            if event or lines:
                if lines:
                    event["data"] = _body("\n".join(lines).encode())
                yield event
            event, lines = {}, []
        elif line.startswith(":"):
            continue
        else:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                lines.append(value)
            elif name == "event":
                event["event"] = value
            else:
                event[name] = value
