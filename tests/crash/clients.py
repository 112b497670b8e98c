"""A client as it should be: follows a run to its end, comes back with its last id, and remembers every event."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

_AGAIN_AFTER_S: Final = 0.05
_AWAY: Final = (httpx.TransportError, httpx.HTTPStatusError)


@dataclass(slots=True)
class Reader:
    """What one client read. `connections` counts how often it had to come; `quiet_s` is the longest time without an
    event."""

    run_id: str
    ids: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    data: list[Any] = field(default_factory=list)
    connections: int = 0
    reconnects_asked: int = 0
    ended: bool = False
    times: list[float] = field(default_factory=list)

    def counts(self) -> list[int]:
        """The field `count` of every state that was shown and has one."""
        return [d["count"] for name, d in zip(self.names, self.data, strict=True) if name == "values" and "count" in d]

    async def follow(self, urls: Sequence[str], thread_id: str) -> None:
        """Read to the end of the run, at one web process or another."""
        while not self.ended:
            url = urls[self.connections % len(urls)]
            self.connections += 1
            try:
                await self._connection(f"{url}/threads/{thread_id}/runs/{self.run_id}/stream?end=true")
            except _AWAY:
                await asyncio.sleep(_AGAIN_AFTER_S)

    async def _connection(self, url: str) -> None:
        headers = {"Last-Event-ID": self.ids[-1] if self.ids else "-1"}
        async with (
            httpx.AsyncClient(timeout=15, verify=False) as client,  # no certificates to read each time
            client.stream("GET", url, headers=headers) as answer,
        ):
            answer.raise_for_status()
            block: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if not line:
                    self._take(block)
                    block = {}
                elif not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    block[name] = value

    def _take(self, block: dict[str, str]) -> None:
        if block.get("event") == "reconnect":
            self.reconnects_asked += 1
        elif "id" in block:
            self.ids.append(block["id"])
            self.names.append(block["event"])
            self.data.append(json.loads(block["data"]))
            self.times.append(time.monotonic())
            self.ended = block["event"] == "end"


class Client:
    """Makes runs and asks for them, at whichever web process answers."""

    def __init__(self, *urls: str) -> None:
        self.urls = urls
        self._http = httpx.AsyncClient(timeout=30)

    async def close(self) -> None:
        await self._http.aclose()

    async def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
        """Ask until a web process has answered; for requests that may be repeated."""
        for number in range(600):
            try:
                url = self.urls[number % len(self.urls)] + path
                headers = {"Idempotency-Key": key} if key else {}
                answer = await self._http.request(method, url, json=body, headers=headers)
                if answer.status_code != 503:
                    answer.raise_for_status()
                    return answer.json() if answer.content else None
            except httpx.TransportError:
                pass
            await asyncio.sleep(_AGAIN_AFTER_S)
        raise AssertionError(f"{method} {path}: nobody answered")

    async def start(self, graph: str, given: Any, thread_id: str, *, key: str | None = None, **more: Any) -> str:
        """A run on a thread that is made for it, once for each idempotency `key`. Returns the run's id."""
        body = {"assistant_id": graph, "input": given, "if_not_exists": "create", **more}
        run = await self.call("POST", f"/threads/{thread_id}/runs", body, key)
        return str(run["run_id"])

    async def run(self, thread_id: str, run_id: str) -> dict[str, Any]:
        """The run's record."""
        found: dict[str, Any] = await self.call("GET", f"/threads/{thread_id}/runs/{run_id}")
        return found

    async def thread(self, thread_id: str) -> dict[str, Any]:
        """The thread's record."""
        found: dict[str, Any] = await self.call("GET", f"/threads/{thread_id}")
        return found
