"""Threads are moved with the checkpointer `langgraph-redis`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from slipway.checkpoints.checkpoint_key import CheckpointKey
from slipway.checkpoints.langgraph_redis.pruning import Head, latest_with_originals
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.settings import Settings
from tests.checkpoints.conftest import documents_prefix, langgraph_redis_checkpointer
from tests.thread_moves.conftest import MovedThread
from tests.thread_moves.deployment import PROJECT
from tests.thread_moves.test_earlier_checkpoints import (  # noqa: F401
    test_an_earlier_checkpoint_is_migrated_like_the_newest,
)
from tests.thread_moves.test_moving_runs import (  # noqa: F401
    test_a_migration_that_fails_pauses_the_run_and_changes_nothing,
    test_a_prune_keeps_the_original_while_the_thread_may_go_back,
    test_a_thread_is_migrated_while_some_of_its_tasks_have_finished,
    test_a_thread_that_has_used_an_answer_since_its_migration_does_not_go_back,
    test_threads_are_moved_by_a_command_and_go_back,
)
from tests.thread_moves.test_rewriting import (  # noqa: F401
    test_a_delta_channel_is_stored_completely,
    test_a_subgraph_continues_where_it_was,
    test_sends_that_are_done_are_not_repeated,
    test_the_original_is_the_parent,
    test_the_results_of_tasks_that_a_node_has_called_are_kept,
)


@pytest.fixture
def valkey_url(modules_url: str) -> str:
    """The server with the modules that `langgraph-redis` needs."""
    return modules_url


@pytest.fixture
async def indexes(pipeline: Pipeline, keys: Keys) -> AsyncIterator[str]:
    """The prefix of the documents. Their search indexes are deleted after the test."""
    yield documents_prefix(keys)
    for index in ("", "_write"):
        await pipeline.send("FT.DROPINDEX", f"{documents_prefix(keys)}{index}")


@pytest.fixture
def deployment_settings(valkey_url: str, keys: Keys, indexes: str) -> Settings:
    values = {
        "redis_url": valkey_url,
        "key_prefix": keys.prefix,
        "langgraph_redis_prefix": indexes,
        "checkpointer": "langgraph-redis",
        "config": PROJECT / "new.json",
        "reap_every_s": 0.2,
    }
    return Settings.from_values(values)


@pytest.fixture
async def thread(pipeline: Pipeline, keys: Keys, indexes: str) -> MovedThread:
    saver = langgraph_redis_checkpointer(pipeline, keys)
    await saver.asetup()
    return MovedThread(saver)


def test_the_original_is_retained_while_the_latest_checkpoint_is_the_work_of_a_move() -> None:
    first, original, moved, later = (CheckpointKey("", each) for each in "1234")
    heads = {key: Head("", "", (), ()) for key in (first, original)} | {moved: Head("", "2", (), (), original="2")}
    assert latest_with_originals(heads) == {original, moved}
    assert latest_with_originals(heads | {later: Head("", "3", (), ())}) == {later}
    assert latest_with_originals({moved: heads[moved]}) == {moved}, "the original was deleted before"
