"""Attacks on the serializers and checkpointers of LangGraph that became known, each against every reader of Slipway.

- CVE-2025-64439: a text with a lone surrogate made LangGraph's serializer fall back to JSON, whose reader called what a
  JSON object with `"type": "constructor"` names.
- CVE-2026-27794: cached values could be loaded with pickle.
- CVE-2026-28277: MessagePack extension types of a checkpoint named any class or function, which was imported, called.
- CVE-2026-48775: the JSON form of a checkpoint named a class and a method of it, which was called.

The last two need somebody who can write to Redis. Then nothing of what they wrote is executed either.
"""

from __future__ import annotations

import base64
import pickle
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import orjson
import ormsgpack
import pytest
from langgraph.cache.memory import InMemoryCache

from slipway.checkpoints.base_checkpointer import BaseCheckpointer
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.langgraph_redis.foreign_values import ForeignValues
from slipway.errors import StoredDataError
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.serialization.compression import compressed_record
from slipway.serialization.serde import TYPE, Serde
from tests.checkpoints.conftest import (
    checkpointer_name,
    checkpointer_pipeline,
    config_of,
    documents_prefix,
    make_checkpointer,
    put,
    saver,
)
from tests.deserialization.planted import constructors, hostile_bytes, pickles, planted
from tests.encryption.conftest import Canary, graphs, settings_for
from tests.http.conftest import serving
from tests.waiting import wait_until
from tests.worker import running_worker

__all__ = ["checkpointer_name", "checkpointer_pipeline", "graphs", "make_checkpointer", "saver"]

SURROGATE = "\ud800 half a character"


@pytest.fixture(autouse=True)
def attacker(tmp_path: Path) -> Iterator[None]:
    """At the end of each test, nothing of the planted module was imported or executed."""
    with planted(tmp_path):
        yield


@pytest.fixture
async def deployment(valkey_url: str, keys: Keys, graphs: Registry) -> AsyncIterator[Canary]:
    """A web process and a worker."""
    settings = settings_for(valkey_url, keys)
    async with (
        serving(settings, graphs) as served,
        running_worker(settings, graphs),
        httpx.AsyncClient(base_url=served.url, timeout=20) as client,
    ):
        yield Canary(client, "x")


async def test_cve_2025_64439_constructors_in_a_state_stay_data(saver: BaseCheckpointer) -> None:
    values = {"text": SURROGATE, "list": constructors(), "one": constructors()[0]}
    checkpoint_id = await put(saver, "t", values, note=constructors()[1])
    await saver.aput_writes(config_of("t", checkpoint_id), [("one", constructors()[2])], "task", "path")
    loaded = await saver.aget_tuple(config_of("t"))
    assert loaded is not None
    assert loaded.checkpoint["channel_values"] == values
    assert loaded.metadata.get("note") == constructors()[1]
    assert loaded.pending_writes == [("task", "one", constructors()[2])]


async def test_cve_2025_64439_constructors_that_clients_send_stay_data(deployment: Canary) -> None:
    for sent in constructors():
        thread = (await deployment.post("/threads", {"metadata": {"note": sent}}))["thread_id"]
        escaped = orjson.dumps({"assistant_id": "waits", "input": {"text": sent, "answer": ["@"]}})
        body = escaped.replace(b'"@"', rb'"\ud800"')
        headers = {**deployment.headers, "content-type": "application/json"}
        started = await deployment.client.post(f"/threads/{thread}/runs/wait", content=body, headers=headers)
        assert started.status_code in (200, 422), started.text  # a lone surrogate is rejected, or becomes U+FFFD
        plain = {"assistant_id": "waits", "input": {"text": sent}}
        await deployment.post(f"/threads/{thread}/runs/wait", plain)
        await deployment.post(f"/threads/{thread}/state", {"values": {"large": [sent]}, "as_node": "wait"})
        state = await deployment.get(f"/threads/{thread}/state")
        assert state["values"]["text"] == sent
        assert state["values"]["large"] == [sent]
        other = (await deployment.post("/threads", {}))["thread_id"]
        await deployment.post(f"/threads/{other}/runs/wait", plain)
        answer = {"assistant_id": "waits", "command": {"resume": sent}}
        assert (await deployment.post(f"/threads/{other}/runs/wait", answer))["answer"] == sent


async def test_cve_2025_64439_constructors_in_the_event_protocol_stay_data(deployment: Canary) -> None:
    for number, sent in enumerate(constructors()):
        thread = (await deployment.post("/threads", {}))["thread_id"]
        start = {"id": number + 1, "method": "run.start", "params": {"assistant_id": "waits", "input": {"text": sent}}}
        response = await deployment.client.post(f"/threads/{thread}/commands", json=start, headers=deployment.headers)
        assert response.status_code == 200, response.text

        async def asks(thread: str = thread) -> bool:
            return bool((await deployment.get(f"/threads/{thread}"))["status"] == "interrupted")

        await wait_until(asks)
        assert (await deployment.get(f"/threads/{thread}/state"))["values"]["text"] == sent


async def test_cve_2025_64439_constructors_in_the_store_stay_data(
    deployment: Canary, pipeline: Pipeline, keys: Keys
) -> None:
    for sent in constructors():
        item = {"namespace": ["a"], "key": "k", "value": {"v": sent}}
        response = await deployment.client.put("/store/items", json=item, headers=deployment.headers)
        assert response.status_code == 204, response.text
        assert (await deployment.get("/store/items?namespace=a&key=k"))["value"] == {"v": sent}
        found = await deployment.post("/store/items/search", {"namespace_prefix": ["a"]})
        assert found["items"][0]["value"] == {"v": sent}
    for stored in hostile_bytes()[::7]:  # written by somebody else
        await pipeline.send("HSET", keys.named("store_items", "a"), "k", b"1|2|0|0|" + stored)
        response = await deployment.client.get("/store/items?namespace=a&key=k", headers=deployment.headers)
        assert response.status_code in (200, 500), response.text


def test_cve_2026_27794_no_pickle_is_loaded() -> None:
    serde, foreign = Serde(), ForeignValues(Serde())
    for data in pickles():
        for load in (serde.loads_typed, lambda typed: foreign.load(*typed)):
            for kind in ("pickle", "json"):
                with pytest.raises(StoredDataError):
                    load((kind, data))
            for kind in (TYPE, "msgpack"):  # the first bytes of a pickle are a small value of MessagePack
                with suppress(StoredDataError):
                    assert load((kind, data)) in (99, {})


async def test_cve_2026_27794_cached_results_of_nodes_are_no_pickles() -> None:
    """Slipway has no cache of its own. That of a graph is LangGraph's, in the release that is required."""
    cache: InMemoryCache[Any] = InMemoryCache()
    for data in pickles():
        with pytest.raises((NotImplementedError, ValueError, TypeError)):
            cache.serde.loads_typed(("pickle", data))


async def test_cve_2026_28277_messages_of_an_attacker_in_a_checkpoint(saver: BaseCheckpointer, keys: Keys) -> None:
    """Every value that is stored for a thread is replaced by each hostile one."""
    checkpoint_id = await put(saver, "t", {"a": "value"})
    await saver.aput_writes(config_of("t", checkpoint_id), [("a", "written")], "task", "path")
    if isinstance(saver, CoreCheckpointer):
        await _replace_core(saver, keys, checkpoint_id)
    else:
        await _replace_documents(saver, keys)


async def _replace_core(saver: BaseCheckpointer, keys: Keys, checkpoint_id: str) -> None:
    state, writes = keys.checkpoint_state("t"), keys.checkpoint_writes("t", f"\0{checkpoint_id}")
    fields = await saver.pipeline.send("HGETALL", state)
    stored = dict(zip(fields[::2], fields[1::2], strict=True))
    (blob,) = [name for name in stored if name.startswith(b"b")]
    (record,) = [name for name in stored if name.startswith(b"c")]
    head = stored[record][: 4 + int.from_bytes(stored[record][:4])]
    (write,) = await saver.pipeline.send("HKEYS", writes)
    for data in hostile_bytes():
        await saver.pipeline.send("HSET", state, blob, data)
        await _read(saver)
        await saver.pipeline.send("HSET", state, blob, stored[blob], record, head + compressed_record(data))
        await _read(saver)
        await saver.pipeline.send("HSET", state, record, stored[record])
        await saver.pipeline.send("HSET", writes, write, ormsgpack.packb(("a", "path", data)))
        await _read(saver)
        await saver.pipeline.send("HDEL", writes, "joined 1")


async def _replace_documents(saver: BaseCheckpointer, keys: Keys) -> None:
    (name,) = await saver.pipeline.send("KEYS", f"{documents_prefix(keys)}:*")
    (write,) = await saver.pipeline.send("KEYS", f"{documents_prefix(keys)}_write:*")
    document = orjson.loads(await saver.pipeline.send("JSON.GET", name))
    written = orjson.loads(await saver.pipeline.send("JSON.GET", write))
    for data in hostile_bytes()[::3]:
        text = base64.b64encode(data).decode()
        for member in ("body", "channel_values", "metadata"):
            changed = orjson.loads(orjson.dumps(document))
            if member == "metadata":
                changed["metadata"] = f"slipway:{text}"
            else:
                changed["checkpoint"][member] = text if member == "body" else {"a": text}
            await saver.pipeline.send("JSON.SET", name, "$", orjson.dumps(changed))
            await _read(saver)
        await saver.pipeline.send("JSON.SET", name, "$", orjson.dumps(document))
        for kind in (TYPE, "msgpack", "json", "pickle"):
            changed = orjson.dumps(written | {"type": kind, "blob": text})
            await saver.pipeline.send("JSON.SET", write, "$", changed)
            await _read(saver)
        await saver.pipeline.send("JSON.SET", write, "$", orjson.dumps(written))


async def _read(saver: BaseCheckpointer) -> None:
    """Damage is an error, and everything else is data."""
    with suppress(StoredDataError):
        await saver.aget_tuple(config_of("t"))
    with suppress(StoredDataError):
        async for _ in saver.alist(config_of("t")):
            pass


@pytest.mark.parametrize("checkpointer_name", ["langgraph-redis"], indirect=True)
async def test_cve_2026_48775_the_json_of_a_checkpoint_names_no_method(saver: BaseCheckpointer, keys: Keys) -> None:
    """Documents as the package wrote them, whose values and metadata are JSON."""
    await put(saver, "t", {"a": "value"})
    (name,) = await saver.pipeline.send("KEYS", f"{documents_prefix(keys)}:*")
    document = orjson.loads(await saver.pipeline.send("JSON.GET", name))
    for sent in constructors():
        body = {"v": 4, "id": document["checkpoint"]["id"], "ts": "2026-01-01T00:00:00+00:00", "versions_seen": {}}
        body |= {"channel_versions": {"a": "1"}, "channel_values": {"a": sent}, "pending_sends": []}
        changed = document | {"checkpoint": body, "metadata": orjson.dumps({"note": sent}).decode()}
        await saver.pipeline.send("JSON.SET", name, "$", orjson.dumps(changed))
        loaded = await saver.aget_tuple(config_of("t"))
        assert loaded is not None
        assert loaded.checkpoint["channel_values"] == {"a": sent}
        assert loaded.metadata.get("note") == sent


async def test_cve_2026_48775_records_of_an_attacker_are_data_or_errors(
    deployment: Canary, pipeline: Pipeline, keys: Keys
) -> None:
    """What web processes and workers read of a run and a thread."""
    thread = (await deployment.post("/threads", {}))["thread_id"]
    await deployment.post(f"/threads/{thread}/runs/wait", {"assistant_id": "waits", "input": {"text": "x"}})
    (run,) = await deployment.get(f"/threads/{thread}/runs")
    places = [(keys.run(run["run_id"]), "kwargs"), (keys.run(run["run_id"]), "user")]
    places += [(keys.thread(thread), name) for name in ("values", "interrupts", "error", "c:configurable")]
    for key, field in places:
        before = await pipeline.send("HGET", key, field)
        for data in hostile_bytes()[::11]:
            await pipeline.send("HSET", key, field, data)
            for path in (f"/threads/{thread}", f"/threads/{thread}/runs", f"/threads/{thread}/runs/{run['run_id']}"):
                response = await deployment.client.get(path, headers=deployment.headers)
                assert response.status_code in (200, 500), response.text
        await pipeline.send("HDEL", key, field) if before is None else await pipeline.send("HSET", key, field, before)


def test_the_planted_module_can_be_executed(tmp_path: Path) -> None:
    """Otherwise the tests above would prove nothing."""
    for data in pickles():
        pickle.loads(data)  # that is the attack
        assert sys.modules.pop("slipway_planted_module", None) is not None
        assert (tmp_path / "executed").exists()
        (tmp_path / "executed").unlink()
