"""A deployment that stores everything which users can put in, and a look at every byte of its Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.settings import Settings
from tests.embedded_valkey import embedded_valkey
from tests.project_fixtures import graphs_of
from tests.waiting import wait_until

PROJECT: Final = Path(__file__).parent / "project" / "langgraph.json"
OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32

graphs = graphs_of(PROJECT)


@pytest.fixture
def own_url() -> Iterator[str]:
    """A Valkey of this test alone, which writes its data to disk in plain commands."""
    with embedded_valkey("--appendonly", "yes", "--aof-use-rdb-preamble", "no", "--rdbcompression", "no") as url:
        yield url


def settings_for(url: str, keys: Keys, *encryption: bytes, **others: Any) -> Settings:
    """Settings of a deployment with these encryption keys, the first one first."""
    values: dict[str, Any] = {"redis_url": url, "key_prefix": keys.prefix, "config": PROJECT, **others}
    if encryption:
        values["encryption_key"] = ",".join(key.hex() for key in encryption)
    return Settings.from_values(values)


class Canary:
    """A text that no test may find where it should not be, put everywhere by one user."""

    def __init__(self, client: httpx.AsyncClient, text: str) -> None:
        self.client, self.text = client, text
        self.headers = {"x-user": "ann", "x-note": text}

    async def post(self, path: str, body: Any) -> Any:
        response = await self.client.post(path, json=body, headers=self.headers)
        assert response.status_code < 300, f"{path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    async def get(self, path: str) -> Any:
        response = await self.client.get(path, headers=self.headers)
        assert response.status_code < 300, f"{path}: {response.status_code} {response.text}"
        return response.json()

    async def put_everywhere(self) -> str:
        """Returns the thread of a chain that has completed."""
        text, config = self.text, {"configurable": {"hint": self.text}, "tags": [self.text]}
        assistant = await self.post("/assistants", {"graph_id": "secrets", "name": "a", "config": config})
        await self._put_other_records(assistant["assistant_id"], config)
        thread = (await self.post("/threads", {}))["thread_id"]
        body = {
            "assistant_id": assistant["assistant_id"],
            "input": {"text": text},
            "webhook": "https://receiver.invalid/x",
        }
        await self.post(
            f"/threads/{thread}/runs/wait", body | {"stream_mode": ["values", "updates", "custom", "events"]}
        )
        await self._decide(thread, {"kind": "answer", "value": {"note": text}})
        await self._has_asked_again(thread)
        edited = {"name": "send", "args": {"text": f"{text} edited"}}
        await self._decide(thread, {"kind": "edit", **edited})
        return str(thread)

    async def _put_other_records(self, assistant_id: str, config: Any) -> None:
        text = self.text
        other = (await self.post("/threads", {}))["thread_id"]
        failing = {"assistant_id": "fails", "input": {"text": text}, "config": config, "context": None}
        await self.client.post(f"/threads/{other}/runs/wait", json=failing, headers=self.headers)
        waiting = (await self.post("/threads", {}))["thread_id"]
        await self.post(f"/threads/{waiting}/runs/wait", {"assistant_id": "waits", "input": {"text": text}})
        (review,) = await self.reviews(waiting)
        await self.post(f"/ops/reviews/{review['review_id']}/comment", {"text": text})
        copy = (await self.post(f"/threads/{waiting}/copy", {}))["thread_id"]
        await self.post(f"/threads/{copy}/state", {"values": {"text": text}, "as_node": "wait"})
        later = {"assistant_id": assistant_id, "input": {"text": text}, "after_seconds": 3600}
        await self.post(f"/threads/{copy}/runs", later)
        await self.post("/runs/crons", {"assistant_id": "fails", "schedule": "0 0 1 1 *", "input": {"text": text}})
        item = {"namespace": ["a"], "key": "k", "value": {"text": text}}
        response = await self.client.put("/store/items", json=item, headers=self.headers)
        assert response.status_code < 300, response.text

    async def reviews(self, thread: str) -> list[Any]:
        """Those that can be decided."""
        found = (await self.get("/ops/reviews?limit=100"))["reviews"]
        return [each for each in found if each["thread_id"] == thread and each["state"] in ("open", "claimed")]

    async def _decide(self, thread: str, body: Any) -> None:
        (review,) = await self.reviews(thread)
        await self.post(f"/ops/reviews/{review['review_id']}/decide", body)

    async def _has_asked_again(self, thread: str) -> None:
        async def asks() -> bool:
            return len(await self.reviews(thread)) == 1

        await wait_until(asks)

    async def has_ended(self, thread: str) -> None:
        async def idle() -> bool:
            return bool((await self.get(f"/threads/{thread}"))["status"] == "idle")

        await wait_until(idle)


async def every_byte(pipeline: Pipeline) -> dict[str, bytes]:
    """Of each key of the server its dump and what its type shows, with JSON escapes and MessagePack as they are."""
    found: dict[str, bytes] = {}
    for name in await pipeline.send("KEYS", "*"):
        kind = await pipeline.send("TYPE", name)
        reads = {
            b"hash": ("HGETALL", name),
            b"stream": ("XRANGE", name, "-", "+"),
            b"zset": ("ZRANGE", name, 0, -1),
            b"set": ("SMEMBERS", name),
            b"list": ("LRANGE", name, 0, -1),
            b"string": ("GET", name),
        }
        if kind == b"none":  # deleted meanwhile, as pending counts are when they are added up
            continue
        shown = await pipeline.send(*reads[kind])
        found[name.decode()] = name + b"\n" + repr(_flat(shown)).encode() + b"".join(_flat(shown))
    return found


def _flat(value: Any) -> list[bytes]:
    if isinstance(value, bytes):
        return [value]
    return [] if value is None else [part for each in value for part in _flat(each)]


def forms_of(text: str) -> list[bytes]:
    """How a text may be found: as it is, in JSON, in base64 at each position, in hex."""
    import base64

    raw = text.encode()
    encoded = [base64.b64encode(b"_" * shift + raw)[4:-4] for shift in range(3)]
    return [raw, json.dumps(text).encode()[1:-1], raw.hex().encode(), raw[::-1], *encoded]
