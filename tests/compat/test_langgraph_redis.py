"""Threads with the checkpointer `langgraph-redis`: copied, pruned, swept and measured by the same tests; and fenced."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable

import pytest

from slipway.errors import Fenced
from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.attempt import Attempt
from slipway.runs.record import new_id, run_from
from slipway.services import open_services
from slipway.settings import Settings
from tests.checkpoints.conftest import at, put
from tests.compat.conftest import PROJECT
from tests.compat.test_threads import (  # noqa: F401
    test_a_busy_thread_is_not_pruned,
    test_a_copy_has_the_past_and_goes_its_own_way,
    test_imported_superstep_by_superstep,
    test_pruned,
    test_storage_tells_what_it_takes,
    test_what_is_due_is_swept,
)
from tests.runs.conftest import new_run


@pytest.fixture
async def settings(modules_url: str, pipeline: Pipeline, keys: Keys) -> AsyncIterator[Settings]:
    """With the other checkpointer, under prefixes of the test's own."""
    prefix = f"{keys.prefix}-documents"
    values = {"redis_url": modules_url, "key_prefix": keys.prefix, "langgraph_redis_prefix": prefix}
    yield Settings.of({**values, "checkpointer": "langgraph-redis", "config": PROJECT, "sse_ping_s": 0.2})
    for index in ("", "_write"):
        await pipeline.send("FT.DROPINDEX", prefix + index)


@pytest.fixture
def valkey_url(modules_url: str) -> str:
    """Tests that look at the server look at that one."""
    return modules_url


async def test_an_attempt_that_lost_its_run_writes_no_checkpoint(settings: Settings, graphs: Registry) -> None:
    async with open_services(settings, graphs, "cli") as services:
        thread = (await services.threads.create_or_get(new_id(), {}))[0].thread_id
        await services.submission.submit(new_run(thread, graph_id="steps"))
        _, claimed = await services.scripts.run_claim("w", 1, 60_000)
        run = run_from(claimed[0])
        owner = Attempt(services.scripts, run)
        mine = services.checkpointer.for_run(owner, empty_thread=thread)
        kept = await put(mine, thread, {"a": 1})
        await mine.aput_writes(at(thread, kept), [("a", 2)], "task")
        await owner.flush()
        await services.scripts.run_reap(event_ttl_s=600, pause_ms=0, worker="w")
        before = await services.pipeline.send("KEYS", f"{settings.langgraph_redis_prefix}*")
        writing = mine.aput_writes(at(thread, kept), [("b", 3)], "other")
        for write in (put(mine, thread, {"a": 3}, parent=kept), writing):
            with pytest.raises(Fenced):
                await _landed(write, owner)
        assert sorted(await services.pipeline.send("KEYS", f"{settings.langgraph_redis_prefix}*")) == sorted(before)
        found = await services.checkpointer.latest(thread)
        assert found is not None
        assert (found.checkpoint["channel_values"], found.pending_writes) == ({"a": 1}, [("task", "a", 2)])


async def _landed(write: Awaitable[object], attempt: Attempt) -> None:
    await write
    await attempt.flush()
