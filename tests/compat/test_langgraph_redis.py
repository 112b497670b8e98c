"""Tests of threads that also hold with the checkpointer `langgraph-redis`, and its fencing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable

import pytest

from slipway.errors import Fenced
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.record import new_id, run_from
from slipway.services import open_services
from slipway.settings import Settings
from tests.checkpoints.conftest import config_of, put
from tests.compat.conftest import PROJECT
from tests.compat.test_threads import (  # noqa: F401
    test_a_busy_thread_is_not_pruned,
    test_a_copy_has_the_history_and_is_independent,
    test_a_history_is_imported_superstep_by_superstep,
    test_due_threads_are_deleted_or_pruned,
    test_prune_deletes_threads_or_their_older_checkpoints,
    test_storage_returns_the_bytes_of_a_thread,
)
from tests.runs.conftest import new_run


@pytest.fixture
async def settings(modules_url: str, pipeline: Pipeline, keys: Keys) -> AsyncIterator[Settings]:
    """Settings with the checkpointer `langgraph-redis` and prefixes that no other test uses."""
    prefix = f"{keys.prefix}-documents"
    values = {"redis_url": modules_url, "key_prefix": keys.prefix, "langgraph_redis_prefix": prefix}
    yield Settings.from_values({**values, "checkpointer": "langgraph-redis", "config": PROJECT, "sse_ping_s": 0.2})
    for index in ("", "_write"):
        await pipeline.send("FT.DROPINDEX", prefix + index)


@pytest.fixture
def valkey_url(modules_url: str) -> str:
    """Tests that read Redis directly read the one with the modules."""
    return modules_url


async def test_a_fenced_attempt_writes_no_checkpoint(settings: Settings, graphs: Registry) -> None:
    async with open_services(settings, graphs, "cli") as services:
        thread = (await services.threads.create_or_get(new_id(), {}))[0].thread_id
        await services.submission.submit(new_run(thread, graph_id="steps"))
        _, claimed, *_ = await services.queues[0].run_claim("w", 1, 60_000)
        run = run_from(claimed[0])
        owner = AttemptWriter(services.scripts, run)
        checkpointer = services.checkpointer.for_run(owner, own_thread=thread, is_empty=True)
        stored = await put(checkpointer, thread, {"a": 1})
        await checkpointer.aput_writes(config_of(thread, stored), [("a", 2)], "task")
        await owner.flush()
        await services.queues[0].run_reap(event_ttl_s=600, pause_ms=0, worker="w")
        before = await services.pipeline.send("KEYS", f"{settings.langgraph_redis_prefix}*")
        writing = checkpointer.aput_writes(config_of(thread, stored), [("b", 3)], "other")
        for write in (put(checkpointer, thread, {"a": 3}, parent=stored), writing):
            with pytest.raises(Fenced):
                await _write_and_flush(write, owner)
        assert sorted(await services.pipeline.send("KEYS", f"{settings.langgraph_redis_prefix}*")) == sorted(before)
        latest = await services.checkpointer.latest(thread)
        assert latest is not None
        assert (latest.checkpoint["channel_values"], latest.pending_writes) == ({"a": 1}, [("task", "a", 2)])


async def _write_and_flush(write: Awaitable[object], attempt: AttemptWriter) -> None:
    await write
    await attempt.flush()
