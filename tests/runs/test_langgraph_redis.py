"""Tests of crashes and ceilings with the checkpointer `langgraph-redis`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from slipway.redis.keys import Keys
from tests.checkpoints.conftest import documents_prefix, langgraph_redis_checkpointer
from tests.runs.conftest import Stores, opened
from tests.runs.test_ceilings import (  # noqa: F401
    test_checkpoints_below_max_state_bytes_remain,
)
from tests.runs.test_recovery import (  # noqa: F401
    test_a_crash_does_not_change_the_outcome_of_a_continuing_run,
    test_after_a_crash_an_answer_is_not_used_for_a_second_interrupt,
)
from tests.runs.test_replays import test_after_a_crash_at_any_write_group_each_result_is_in_the_log_once  # noqa: F401


@pytest.fixture
async def stores(modules_url: str, keys: Keys) -> AsyncIterator[Stores]:
    """Stores with the checkpointer `langgraph-redis`."""
    async with opened(modules_url, keys) as stores:
        saver = langgraph_redis_checkpointer(stores.pipeline, keys)
        await saver.asetup()
        yield replace(stores, checkpointer=saver)
        for index in ("", "_write"):
            await stores.pipeline.send("FT.DROPINDEX", documents_prefix(keys) + index)
