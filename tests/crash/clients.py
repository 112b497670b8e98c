"""Clients that reconnect: `Reader` follows a run to its end and stores each event, `Client` creates and reads runs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

_RETRY_AFTER_S: Final = 0.05
_UNREACHABLE: Final = (httpx.TransportError, httpx.HTTPStatusError)


@dataclass(slots=True)
class Reader:
    """The events that one client received, in order. It resumes after the last id that it received. `connections`
    counts its connections, `reconnect_events` the requests of the server to reconnect; `times` are on the monotonic
    clock."""

    run_id: str
    ids: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    data: list[Any] = field(default_factory=list)
    connections: int = 0
    reconnect_events: int = 0
    ended: bool = False
    silence_s: float = 15
    """Seconds without a byte after which it reconnects. Web processes send a ping each `sse_ping_s`."""
    times: list[float] = field(default_factory=list)

    def counts(self) -> list[int]:
        """The field `count` of each received state that has one."""
        return [d["count"] for name, d in zip(self.names, self.data, strict=True) if name == "values" and "count" in d]

    async def follow(self, urls: Sequence[str], thread_id: str) -> None:
        """Read to the end of the run, with each connection at the next web process."""
        while not self.ended:
            url = urls[self.connections % len(urls)]
            self.connections += 1
            try:
                await self._read_response(f"{url}/threads/{thread_id}/runs/{self.run_id}/stream?end=true")
            except _UNREACHABLE:
                await asyncio.sleep(_RETRY_AFTER_S)

    async def _read_response(self, url: str) -> None:
        headers = {"Last-Event-ID": self.ids[-1] if self.ids else "-1"}
        async with (
            httpx.AsyncClient(timeout=self.silence_s, verify=False) as client,  # reading the certificates takes long
            client.stream("GET", url, headers=headers) as response,
        ):
            response.raise_for_status()
            block: dict[str, str] = {}
            async for line in response.aiter_lines():
                if not line:
                    self._store(block)
                    block = {}
                elif not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    block[name] = value

    def _store(self, block: dict[str, str]) -> None:
        if block.get("event") == "reconnect":
            self.reconnect_events += 1
        elif "id" in block:
            self.ids.append(block["id"])
            self.names.append(block["event"])
            self.data.append(json.loads(block["data"]))
            self.times.append(time.monotonic())
            self.ended = block["event"] == "end"


class Client:
    """Creates and reads runs at any web process that responds."""

    def __init__(self, *urls: str, timeout_s: float = 30) -> None:
        """Without a response for `timeout_s`, it sends a request again, to the next web process."""
        self.urls = urls
        self._http = httpx.AsyncClient(timeout=timeout_s)

    async def close(self) -> None:
        await self._http.aclose()

    async def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        """Repeat the request until a web process responds; for requests that may be sent twice."""
        for number in range(600):
            try:
                url = self.urls[number % len(self.urls)] + path
                headers = {"Idempotency-Key": key} if key else {}
                response = await self._http.request(method, url, json=body, headers=headers)
                if response.status_code != 503:
                    response.raise_for_status()
                    return response.json() if response.content else None
            except httpx.TransportError:
                pass
            await asyncio.sleep(_RETRY_AFTER_S)
        raise AssertionError(f"{method} {path}: no web process responded")

    async def start(
        self, graph: str, graph_input: Any, thread_id: str, *, key: str | None = None, **options: Any
    ) -> str:
        """Create a run, and its thread if it does not exist, once for each idempotency `key`. Returns the id of the
        run."""
        body = {"assistant_id": graph, "input": graph_input, "if_not_exists": "create", **options}
        run = await self.call("POST", f"/threads/{thread_id}/runs", body, key)
        return str(run["run_id"])

    async def run(self, thread_id: str, run_id: str) -> dict[str, Any]:
        record: dict[str, Any] = await self.call("GET", f"/threads/{thread_id}/runs/{run_id}")
        return record

    async def thread(self, thread_id: str) -> dict[str, Any]:
        record: dict[str, Any] = await self.call("GET", f"/threads/{thread_id}")
        return record
