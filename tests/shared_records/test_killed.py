"""The process that has decided a change is killed before the copies; the duty of a worker completes them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from slipway.clock import Clock
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.redis.shared_records import SharedRecords
from slipway.runs.record import Phase
from slipway.switches.scripts import SwitchScripts
from slipway.switches.store import SwitchStore
from tests.shared_records.conftest import all_records, records_in
from tests.shared_records.sharded_runs import ShardedRuns

pytestmark = pytest.mark.processes


async def switch_and_be_killed(url: str, shards: Shards, to: str, failpoint: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.shared_records.switching", url, shards.prefix, to),
        env={**os.environ, "SLIPWAY_FAILPOINT": failpoint},
    )
    assert await process.wait() == -signal.SIGKILL


async def test_the_copies_of_a_switch_are_completed(pipeline: Pipeline, shards: Shards, valkey_url: str) -> None:
    runs = ShardedRuns.on(pipeline, shards)
    created = await runs.create_in_all()
    await switch_and_be_killed(valkey_url, shards, "off", "shared_record_decided")
    assert (await records_in(pipeline, shards.threads[7]))["switches"] == {}
    assert await SharedRecords(pipeline, shards).copy() == []
    assert set((await all_records(pipeline, shards))["switches"]) == {b"graph:steps"}
    assert await runs.claim() == []
    assert set(await runs.phases(created)) == {Phase.PAUSED}

    await switch_and_be_killed(valkey_url, shards, "on", "shared_record_decided")
    assert await SharedRecords(pipeline, shards).copy() == []
    assert await SwitchStore(SwitchScripts(pipeline, shards), Clock()).resume_runs() == 8
    assert {run.run_id for run in await runs.claim()} == {run.run_id for run in created}
    assert (await all_records(pipeline, shards))["switches"] == {}
