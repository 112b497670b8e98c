"""What is stored is the same, however the commands of writes are merged, joined and divided into write groups."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any, Final

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.base import WRITES_IDX_MAP
from langgraph.checkpoint.serde.types import ERROR, SCHEDULED

from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.fenced_writers import EncodingLock, UnfencedWriter
from slipway.redis.checkpoint_keys import names_of
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.redis_commands import RedisCommand
from slipway.redis.server_pipeline import ServerPipeline
from tests.checkpoints.conftest import config_of, put
from tests.shards import shards_of

Step = tuple[str, str, int, int]
"""A kind of step, a task, the age of the checkpoint that it writes to (0 is the newest), and the length of its values.

`put` stores a checkpoint, `send` ends a write group, `attempt` begins another attempt, and the rest are channels."""

LENGTHS: Final = (1, 700, 70_000, 300_000)
"""What is joined with others, what is worth joining, what is too large for it, and what is encoded in slices."""

STEPS = st.one_of(
    st.sampled_from([("put", "", 0, length) for length in LENGTHS[:3]] + [("send", "", 0, 0), ("attempt", "", 0, 0)]),
    st.tuples(
        st.sampled_from(["a", "b", ERROR, SCHEDULED]),
        st.sampled_from(["one", "two"]),
        st.sampled_from([0, 0, 0, 1]),
        st.sampled_from(LENGTHS),
    ),
)

LARGE_THEN_SMALL: Final = [("put", "", 0, 1), (ERROR, "one", 0, 70_000), ("send", "", 0, 0), (ERROR, "one", 0, 1)]


class GroupWriter:
    """A writer that sends a write group when the test says so. All large values are encoded in slices."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self.encoding = EncodingLock()
        self._writer = UnfencedWriter(pipeline, shards_of(keys))
        self._group: list[RedisCommand] = []

    def may_divide(self, namespace: str, task_path: str | None) -> bool:
        return True

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        self._group += commands

    async def flush(self) -> None:
        group, self._group = self._group, []
        await self._writer.write(group)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=25))
@example(steps=LARGE_THEN_SMALL)
def test_every_write_is_stored_and_counted(valkey_url: str, steps: list[Step]) -> None:
    asyncio.run(_execute(valkey_url, [("put", "", 0, 1), *steps]))


async def _execute(url: str, steps: list[Step]) -> None:
    pipeline, keys = ServerPipeline(Address(url), "test", patience_s=5), Keys(f"test-{uuid.uuid4().hex[:12]}")
    await pipeline.open()
    try:
        core = CoreCheckpointer(pipeline, shards_of(keys))
        expected = await _write(core, steps)
        for checkpoint_id, writes in expected.items():
            found = await core.stored_writes(config_of("t", checkpoint_id))
            assert {(each.task_id, each.position): each.value for each in found} == writes
        assert await core.thread_bytes("t") == await _stored_bytes(core)
    finally:
        await pipeline.close()


async def _write(core: CoreCheckpointer, steps: list[Step]) -> dict[str, dict[tuple[str, int], Any]]:
    """Executes the steps. Returns the writes of each checkpoint, by task and position."""
    writer = GroupWriter(core.pipeline, core.keys)
    saver = core.for_run(writer, own_thread="t")
    expected: dict[str, dict[tuple[str, int], Any]] = {}
    ids: list[str] = []
    for number, (kind, task, age, length) in enumerate(steps):
        value = f"{number} " * (length // len(f"{number} ") + 1)
        if kind == "send":
            await writer.flush()
        elif kind == "attempt":
            await writer.flush()
            saver = core.for_run(writer, own_thread="t")
        elif kind == "put":
            parent = ids[-1] if ids else None
            ids.append(await put(saver, "t", {"v": value}, versions={"v": f"{number:08x}"}, parent=parent, run="r"))
            expected[ids[-1]] = {}
        else:
            checkpoint_id = ids[-1 - age] if age < len(ids) else ids[-1]
            await saver.aput_writes(config_of("t", checkpoint_id), [(kind, value)], task)
            position, writes = WRITES_IDX_MAP.get(kind, 0), expected[checkpoint_id]
            if position < 0 or (task, position) not in writes:
                writes[task, position] = value
    await writer.flush()
    return expected


async def _stored_bytes(core: CoreCheckpointer) -> int:
    """The bytes of all members, fields and values of the thread, without the counter."""
    names = names_of(core.keys, "t")
    size = sum(map(len, await core.pipeline.send("ZRANGE", names.index, 0, -1, repeatable=True)))
    for key in [names.state, *await core.pipeline.send("KEYS", f"{names.writes_prefix}*", repeatable=True)]:
        flat = await core.pipeline.send("HGETALL", key, repeatable=True)
        size += sum(len(name) + len(value) for name, value in zip(flat[::2], flat[1::2], strict=True) if name != b"n")
    return size
