"""With the checkpointer `langgraph-redis`: a worker dies after each group of writes, and nothing happens twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from slipway.redis.keys import Keys
from tests.checkpoints.conftest import documents_prefix, langgraph_redis_checkpointer
from tests.runs.conftest import Stores, opened
from tests.runs.test_ceilings import (  # noqa: F401
    test_the_ceiling_of_state_bytes_keeps_what_was_kept,
)
from tests.runs.test_recovery import (  # noqa: F401
    test_a_death_changes_nothing_of_a_run_that_goes_on,
    test_a_death_does_not_answer_a_second_question_with_the_first_answer,
)
from tests.runs.test_replays import test_whatever_landed_last_each_result_comes_once  # noqa: F401


@pytest.fixture
async def stores(modules_url: str, keys: Keys) -> AsyncIterator[Stores]:
    """The stores, with the other checkpointer."""
    async with opened(modules_url, keys) as stores:
        saver = langgraph_redis_checkpointer(stores.pipeline, keys)
        await saver.asetup()
        yield replace(stores, checkpointer=saver)
        for index in ("", "_write"):
            await stores.pipeline.send("FT.DROPINDEX", documents_prefix(keys) + index)
