"""Pending counts: what scripts have counted is appended to one string, and added up exactly once."""

from __future__ import annotations

import re
import time

import ormsgpack
import pytest

from slipway.metrics import attempt_counts
from slipway.metrics.attempt_counts import AttemptCounts
from slipway.metrics.process_metrics import ProcessMetrics
from slipway.metrics.scripts import MetricsScripts
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.script_source import library
from slipway.redis.server_pipeline import ServerPipeline
from slipway.telemetry.table.run_metrics import (
    ATTEMPTS_STARTED,
    NEW_RUNS,
    NODE_RETRIES,
    QUEUE_DEPTH,
    RUN_EVENTS,
    SUPERSTEP_SECONDS,
)
from tests.embedded_valkey import embedded_valkey
from tests.metrics.stored_figures import stored_figures, total
from tests.runs.conftest import Stores
from tests.shards import shards_of

pytestmark = pytest.mark.one_queue

FULL = 32768
"""The bytes from which the script that counts adds up, as in the script."""


def items(*values: object) -> bytes:
    return b"".join(ormsgpack.packb(value) for value in values)


async def pending_bytes(pipeline: Pipeline, keys: Keys) -> int:
    return int(await pipeline.send("STRLEN", shards_of(keys).home.pending_counts))


def test_python_and_scripts_have_the_same_kinds_of_items() -> None:
    kinds = dict(re.findall(r"^local ([A-Z]+) = (\d)$", library("pending_counts"), re.MULTILINE))
    assert {name: int(kinds[name]) for name in ("COUNTER", "OBSERVATIONS")} == {
        "COUNTER": attempt_counts.COUNTER,
        "OBSERVATIONS": attempt_counts.OBSERVATIONS,
    }


def test_an_attempt_counts_each_thing_once() -> None:
    counts = AttemptCounts()
    for _ in range(3):
        counts.count(RUN_EVENTS, by=2)
        counts.observe(SUPERSTEP_SECONDS, 0.001, "g")
    assert counts.items() == items(1, "run_events", 6, 0, 2, "superstep_seconds\x1fg\x1f1", 3, 3000)
    assert counts.items() == b""


async def test_what_an_attempt_counts_is_in_the_figures(pipeline: Pipeline, keys: Keys) -> None:
    counts = AttemptCounts()
    counts.count(NODE_RETRIES, "g" * 300)
    counts.observe(SUPERSTEP_SECONDS, 0.5, "naïve \n\x00 graph")
    counts.observe(SUPERSTEP_SECONDS, 1e6, "naïve \n\x00 graph")
    await pipeline.send("APPEND", shards_of(keys).home.pending_counts, counts.items())
    figures = await stored_figures(pipeline, keys)
    assert total(figures.values(NODE_RETRIES)) == 1
    (steps,) = figures.distributions(SUPERSTEP_SECONDS).values()
    assert (steps.count, steps.sum_us) == (2, 1_000_000_500_000)
    assert await pending_bytes(pipeline, keys) == 0


async def test_counts_are_added_up_once_by_whoever_reads_or_publishes(stores: Stores) -> None:
    for number in range(3):
        await stores.create_run()
        assert await pending_bytes(stores.pipeline, stores.keys) > 0
        if number == 0:
            await MetricsScripts(stores.pipeline, stores.shards.home).publish(
                "web-1", "web", 1, ProcessMetrics("web").publication(), live=True
            )
            assert await pending_bytes(stores.pipeline, stores.keys) == 0
        for _ in range(2):
            figures = await stored_figures(stores.pipeline, stores.keys)
            assert total(figures.values(NEW_RUNS)) == total(figures.values(QUEUE_DEPTH)) == number + 1


async def test_a_run_that_leaves_and_enters_the_queue_again_is_queued_once(stores: Stores) -> None:
    run = await stores.create_run()
    await stores.claim_one()
    await stores.reap()
    figures = await stored_figures(stores.pipeline, stores.keys)
    assert total(figures.values(QUEUE_DEPTH)) == 1
    assert total(figures.values(ATTEMPTS_STARTED)) == 1
    members = await stores.pipeline.send("ZRANGE", stores.shards.home.queued_runs, 0, -1)
    assert [member.decode().rpartition("\x1f")[2] for member in members] == [run.run_id]


async def test_the_script_after_which_much_is_pending_adds_it_up(stores: Stores) -> None:
    one = items(1, "new_runs\x1fother", 1, 0)
    number = FULL // len(one)
    await stores.pipeline.send("APPEND", stores.shards.home.pending_counts, one * number)
    await stores.create_run()
    assert await pending_bytes(stores.pipeline, stores.keys) == 0, "it was almost full"
    figures = await stored_figures(stores.pipeline, stores.keys)
    assert figures.values(NEW_RUNS) == {("other",): number, ("steps",): 1}


async def test_a_full_string_of_any_items_is_added_up_quickly(pipeline: Pipeline, keys: Keys) -> None:
    """Also many more members of sorted sets than a string of this length can have."""
    many = [
        items(5, f"g\x1fv\x1fnormal\x1f{number:016}\x1frun{number:020}", 1, "new_runs\x1fg")
        + items(7, f"run{number:020}", 1_796_086_406_181, 426)
        for number in range(1000)
    ]
    await pipeline.send("APPEND", shards_of(keys).home.pending_counts, b"".join(many))
    began = time.perf_counter()
    figures = await stored_figures(pipeline, keys)
    assert time.perf_counter() - began < 1, "it takes a few ms"
    assert total(figures.values(QUEUE_DEPTH)) == total(figures.values(NEW_RUNS)) == 1000
    assert await pipeline.send("ZCARD", shards_of(keys).home.traces) == 1000
    assert int(await pipeline.send("GET", shards_of(keys).home.trace_bytes)) == 426_000


async def test_counts_are_added_up_in_a_full_redis() -> None:
    with embedded_valkey() as url:
        keys, pipeline = Keys("full"), ServerPipeline(Address(url), "test", patience_s=5)
        await pipeline.open()
        try:
            await pipeline.send("APPEND", shards_of(keys).home.pending_counts, items(1, "new_runs\x1fg", 3, 0))
            await pipeline.send("CONFIG", "SET", "maxmemory", 1)
            figures = await stored_figures(pipeline, keys)
            assert total(figures.values(NEW_RUNS)) == 3
            assert await pending_bytes(pipeline, keys) == 0
        finally:
            await pipeline.close()


@pytest.mark.parametrize("garbage", [b"\xc1", items(1, "new_runs\x1fg", 1, 0)[:-1], b"\xff" * FULL])
async def test_a_damaged_string_stops_no_run(stores: Stores, garbage: bytes) -> None:
    await stores.pipeline.send("SET", stores.shards.home.pending_counts, garbage)
    run = await stores.create_run()
    assert (await stores.claim_one()).run_id == run.run_id
