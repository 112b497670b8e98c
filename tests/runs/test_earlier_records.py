"""Records of a release that compressed nothing are read by this one. `recorded/layout_1.txt` is what such a release
stored for a run of the graph `small` (`tests/bench/graphs.py`) with a text of 1.9 KB, and for an item of the store."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import orjson
import pytest

from slipway.checkpoints.fenced_writers import UnfencedWriter
from slipway.store.store import RedisStore
from tests.runs.conftest import Stores

RECORDED: dict[str, tuple[str, list[str]]] = json.loads(
    zlib.decompress(base64.b64decode((Path(__file__).parent / "recorded" / "layout_1.txt").read_text()))
)
THREAD = "4a7c1f0e-5b1d-4c56-9d0e-2f6a7e0b1c3d"
TEXT = "".join(f"Line {number} of a long text. " for number in range(80))
FIRST, LAST = {"text": TEXT}, {"text": TEXT + "!"}


pytestmark = pytest.mark.one_shard("the records of an earlier release have no tag")


@pytest.fixture
async def run_id(stores: Stores) -> str:
    """Stores the recorded data under the prefix of the test. Returns the id of the run."""
    for name, (kind, parts) in RECORDED.items():
        key, values = stores.keys.prefix.encode() + base64.b64decode(name), [base64.b64decode(part) for part in parts]
        if kind == "stream":
            while values:
                event_id, count, *values = values
                fields, values = values[: int(count)], values[int(count) :]
                await stores.pipeline.send("XADD", key, event_id, *fields)
        elif kind == "zset":
            pairs = zip(values[::2], values[1::2], strict=True)
            await stores.pipeline.send("ZADD", key, *(part for member, score in pairs for part in (score, member)))
        else:
            await stores.pipeline.send("HSET" if kind == "hash" else "SADD", key, *values)
    (found,) = await stores.pipeline.send("ZRANGE", stores.keys.thread_runs(THREAD), 0, -1, repeatable=True)
    return str(found.decode())


async def test_the_run_its_thread_and_its_log_are_read(stores: Stores, run_id: str) -> None:
    run = await stores.runs.find(run_id)
    assert (run.phase, run.options.input, run.usage["steps"]) == ("completed", FIRST, 1)
    assert (await stores.threads.get(THREAD)).values == LAST
    log = await stores.log_of(run_id)
    assert [event.name for event in log] == ["metadata", "values", "updates", "values", "end"]
    assert [orjson.loads(event.data) for event in log if event.name == "values"] == [FIRST, LAST]
    assert log[-1].result is not None
    assert orjson.loads(log[-1].result) == LAST


async def test_its_checkpoints_are_read_and_continued(stores: Stores, run_id: str) -> None:
    config: Any = {"configurable": {"thread_id": THREAD, "checkpoint_ns": ""}}
    found = [checkpoint async for checkpoint in stores.checkpointer.alist(config)]
    assert [checkpoint.metadata["step"] for checkpoint in found] == [1, 0, -1]
    assert found[0].checkpoint["channel_values"]["text"] == LAST["text"]
    assert {channel for _, channel, _ in found[-1].pending_writes or []} == {"text", "branch:to:answer"}

    clone = stores.checkpointer.for_run(UnfencedWriter(stores.pipeline, stores.shards))
    for task in ("one", "two"):
        await clone.aput_writes(found[0].config, [("text", TEXT)], task)
    assert [write.value for write in await stores.checkpointer.stored_writes(found[0].config)] == [TEXT, TEXT]


async def test_its_item_of_the_store_is_read(stores: Stores, run_id: str) -> None:
    item = await RedisStore(stores.pipeline, stores.keys, max_item_bytes=10_000).aget(("notes",), "long")
    assert item is not None
    assert item.value == {"text": TEXT}
