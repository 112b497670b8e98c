"""A graph that leaks secrets in every way: no byte that leaves the processes has one of them, and the store has them
only in the checkpoints."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.serialization.compression import decompressed
from tests.crash.cluster import Cluster, running
from tests.differential.webhook_receiver import WebhookReceiver, webhook_receiver

pytestmark = pytest.mark.processes

PROJECT = Path(__file__).parent / "project" / "langgraph.json"
CANARY = "canary"
"""A part of every secret, and of nothing else."""


CREDENTIALS = {
    "authorization": "Bearer canary-of-a-client",
    "x-api-key": "canary-of-a-client",
    "cookie": "session=canary-of-a-client",
}


class Recorder(httpx.AsyncHTTPTransport):
    """Records every byte that the server sends."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[bytes] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        self.received.append(repr(response.headers.raw).encode())
        body = b"".join([chunk async for chunk in response.stream])  # type: ignore[union-attr]  # an async stream
        self.received.append(body)
        return httpx.Response(response.status_code, headers=response.headers, content=body)


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with webhook_receiver() as receiver:
        yield receiver


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with leaking_cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def encrypted(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with leaking_cluster(
        tmp_path, SLIPWAY_ENCRYPTION_KEY=b64encode(b"canary of the key in 32 bytes...").decode()
    ) as cluster:
        yield cluster


@asynccontextmanager
async def leaking_cluster(tmp_path: Path, **more: str) -> AsyncIterator[Cluster]:
    """A web process and a worker that know several secrets."""
    secret = tmp_path / "webhook_secret"
    secret.write_text("whsec_canary+of/the+webhooks//canary+of/the+hooks=\n")
    environment = {
        "PROVIDER_API_KEY": 'canary "of" the provider & <more>',
        "DATABASE_URL": "postgres://app:canary-in-an-address@db.inside:5432/app",
        "CHARGE_TOKEN": "canary-of-a-tool",
        "SLIPWAY_WEBHOOK_SECRET_FILE": str(secret),
        **more,
    }
    async with running(webs=1, workers=1, project=PROJECT, graphs_env=environment) as cluster:
        yield cluster


async def test_no_secret_leaves_the_processes(cluster: Cluster, receiver: WebhookReceiver) -> None:
    recorder = Recorder()
    async with httpx.AsyncClient(
        transport=recorder, base_url=cluster.webs[0].url, headers=CREDENTIALS, timeout=30
    ) as client:
        await leak_everywhere(client, receiver)
        webhooks = [await receiver.next_of(graph_id, 30) for graph_id in ("leaks", "asks", "fails", "calls")]
    sent = [*recorder.received, json.dumps(webhooks).encode()]
    logs = [process.log.read_bytes() for process in (*cluster.webs, *cluster.workers)]
    assert any(b"[PROVIDER_API_KEY]" in part for part in sent), "nothing was leaked"
    assert b"graph.leaked" in b"".join(logs)
    assert b"no access with" in b"".join(logs)
    assert [part for part in (*sent, *logs) if CANARY.encode() in part] == []
    assert await keys_with_canary(cluster.pipeline, cluster.keys) <= {"cp"}, "only checkpoints keep what graphs need"


async def test_encrypted_the_store_has_no_secret(encrypted: Cluster, receiver: WebhookReceiver) -> None:
    async with httpx.AsyncClient(base_url=encrypted.webs[0].url, timeout=30) as client:
        await leak_everywhere(client, receiver)
    assert await keys_with_canary(encrypted.pipeline, encrypted.keys) == set()
    files = [path for path in encrypted.folder.rglob("*") if path.suffix in (".aof", ".rdb")]
    assert files
    assert [path.name for path in files if CANARY.encode() in path.read_bytes()] == []


async def leak_everywhere(client: httpx.AsyncClient, receiver: WebhookReceiver) -> None:
    """Streams and waits for runs of all graphs, and reads everything about them."""
    modes = ["values", "updates", "messages-tuple", "custom", "debug", "tasks", "checkpoints", "events"]
    for graph_id in ("leaks", "asks", "fails", "calls"):
        thread = (await client.post("/threads", json={})).json()["thread_id"]
        body: dict[str, Any] = {"assistant_id": graph_id, "input": {}, "webhook": f"{receiver.url}/{graph_id}"}
        await client.post(f"/threads/{thread}/runs/stream", json=body | {"stream_mode": modes})
        runs = (await client.get(f"/threads/{thread}/runs")).json()
        await client.post("/runs/wait", json={"assistant_id": graph_id, "input": {}})
        run = runs[0]["run_id"]
        for path in (
            f"/threads/{thread}",
            f"/threads/{thread}/state",
            f"/threads/{thread}/history",
            f"/threads/{thread}/runs/{run}",
            f"/threads/{thread}/runs/{run}/join",
            f"/ops/runs/{run}/audit",
            f"/ui/runs/{run}",
            f"/runs/{run}",
            "/ops/reviews",
            "/reviews",
            "/",
        ):
            await client.get(path, headers={"accept": "text/html" if path in ("/", "/reviews") else "*/*"})
        await client.post("/threads/search", json={})


async def keys_with_canary(pipeline: Pipeline, keys: Keys) -> set[str]:
    """The kinds of the keys whose stored values have a secret."""
    names: list[bytes] = await pipeline.send("KEYS", f"{keys.prefix}*", repeatable=True)
    found = set()
    for name in names:
        if any(CANARY.encode() in plain(part) for part in await parts_of(pipeline, name)):
            found.add(name.decode().removeprefix(keys.prefix).lstrip("{}:0123456789").partition(":")[0])
    return found


def plain(part: object) -> bytes:
    if not isinstance(part, bytes):
        return b""
    try:
        return decompressed(part) if part else b""
    except Exception:  # not a compressed value
        return part


async def parts_of(pipeline: Pipeline, name: bytes) -> list[object]:
    """All members and values of a key."""
    kind: bytes = await pipeline.send("TYPE", name, repeatable=True)
    commands = {
        b"string": ("GET", name),
        b"hash": ("HGETALL", name),
        b"set": ("SMEMBERS", name),
        b"zset": ("ZRANGE", name, 0, -1),
        b"list": ("LRANGE", name, 0, -1),
        b"stream": ("XRANGE", name, "-", "+"),
    }
    if kind not in commands:  # it has expired meanwhile
        return []
    return flat(await pipeline.send(*commands[kind], repeatable=True))


def flat(reply: object) -> list[object]:
    return [part for each in reply for part in flat(each)] if isinstance(reply, list) else [reply]
