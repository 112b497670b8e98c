"""What the settings of traces do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from slipway.graphs.registry import Registry
from slipway.redaction.known_secrets import KNOWN
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import ServerPipeline
from slipway.settings import Settings
from slipway_workers.duties.traces import Traces
from tests.embedded_valkey import embedded_valkey
from tests.http.conftest import Served, serving
from tests.metrics.stored_figures import add_up_counts
from tests.tracing.conftest import PROJECT
from tests.tracing.spans import BYTES_OF_TRACE, counted_bytes, run_and_read, stored_bytes, tree_of
from tests.worker import running_worker


@asynccontextmanager
async def deployment(
    valkey_url: str, keys: Keys, graphs: Registry, **values: Any
) -> AsyncIterator[tuple[LangGraphClient, Served]]:
    """An application and a worker with these settings."""
    given: dict[str, Any] = {"redis_url": valkey_url, "key_prefix": keys.prefix, "config": PROJECT}
    given |= {"lease_s": 300, "heartbeat_s": 100, "reap_every_s": 300}  # no round of a duty, but those of the test
    settings = Settings.from_values(given | values)
    async with (
        serving(settings, graphs) as served,
        running_worker(settings, graphs),
        get_client(url=served.url, api_key=None) as sdk,
    ):
        yield sdk, served


async def test_nothing_is_stored_with_traces_off(
    valkey_url: str, keys: Keys, graphs: Registry, pipeline: Pipeline
) -> None:
    async with deployment(valkey_url, keys, graphs, traces=False) as (sdk, served):
        tree = await run_and_read(sdk, served.services, "three")
        assert tree.run.trace is None
        assert list(tree.spans) == []
    await add_up_counts(pipeline, keys)
    assert await pipeline.send("EXISTS", keys.traces, keys.trace_bytes) == 0


async def test_trace_sample_ratio_says_of_how_many_traces_spans_are_stored(
    valkey_url: str, keys: Keys, graphs: Registry
) -> None:
    async with deployment(valkey_url, keys, graphs, trace_sample_ratio=0.5) as (sdk, served):
        trees = await asyncio.gather(*(run_and_read(sdk, served.services, "one") for _ in range(60)))
    kept = [tree for tree in trees if tree.run.trace and tree.run.trace.kept]
    assert [tree for tree in trees if tree.spans] == kept
    assert 8 < len(kept) < 52, "the chance of another number is one in 100 million"


async def test_spans_are_deleted_after_trace_retention_s(
    valkey_url: str, keys: Keys, graphs: Registry, pipeline: Pipeline
) -> None:
    async with deployment(valkey_url, keys, graphs, trace_retention_s=60) as (sdk, served):
        old, new = [await run_and_read(sdk, served.services, "one") for _ in range(2)]
        await add_up_counts(pipeline, keys)
        stored_ms = float(await pipeline.send("ZSCORE", keys.traces, old.run.run_id))
        await pipeline.send("ZADD", keys.traces, stored_ms - 60_000, old.run.run_id)
        trimmed = await Traces(served.services).run_once()
        assert (trimmed.expired, trimmed.displaced) == (1, 0)
        assert not (await tree_of(served.services, old.run.thread_id, old.run.run_id)).spans
        assert (await tree_of(served.services, new.run.thread_id, new.run.run_id)).spans == new.spans
        assert await stored_bytes(pipeline, keys) == await counted_bytes(pipeline, keys) > 0


async def test_the_retention_begins_with_the_first_span_and_not_with_the_run(
    valkey_url: str, keys: Keys, graphs: Registry, pipeline: Pipeline
) -> None:
    """Nobody streams an event of the run, so the last event in its log is that of its creation when it has spans."""
    async with deployment(valkey_url, keys, graphs) as (sdk, served):
        created = time.time()
        tree = await run_and_read(sdk, served.services, "three", after_seconds=1, stream_mode="custom")
        await add_up_counts(pipeline, keys)
        stored_ms = float(await pipeline.send("ZSCORE", keys.traces, tree.run.run_id))
        assert stored_ms / 1000 >= created + 0.9


async def test_the_spans_of_the_oldest_runs_go_when_all_exceed_trace_max_bytes(
    valkey_url: str, keys: Keys, graphs: Registry, pipeline: Pipeline
) -> None:
    async with deployment(valkey_url, keys, graphs, trace_max_bytes=1024 * 1024) as (sdk, served):
        old, middle, new = [await run_and_read(sdk, served.services, "one") for _ in range(3)]
        await pipeline.send("RPUSH", keys.run_trace(middle.run.run_id), b"x" * 1024 * 1024)
        await pipeline.send("INCRBY", keys.trace_bytes, 1024 * 1024)
        trimmed = await Traces(served.services).run_once()
        assert (trimmed.expired, trimmed.displaced) == (0, 2)
        assert not (await tree_of(served.services, old.run.thread_id, old.run.run_id)).spans
        assert (await tree_of(served.services, new.run.thread_id, new.run.run_id)).spans == new.spans
        assert await stored_bytes(pipeline, keys) == await counted_bytes(pipeline, keys) > 0


async def test_spans_use_at_most_a_tenth_of_a_small_redis(graphs: Registry) -> None:
    with embedded_valkey() as url:
        keys, pipeline = Keys("small"), ServerPipeline(Address(url), "test", patience_s=5)
        await pipeline.open()
        try:
            await pipeline.send("CONFIG", "SET", "maxmemory", 20 * 1024 * 1024)
            async with deployment(url, keys, graphs) as (sdk, served):
                old, new = [await run_and_read(sdk, served.services, "one") for _ in range(2)]
                await pipeline.send("RPUSH", keys.run_trace(old.run.run_id), b"x" * 2 * 1024 * 1024)
                await pipeline.send("INCRBY", keys.trace_bytes, 2 * 1024 * 1024)
                assert (await Traces(served.services).run_once()).displaced == 1
                assert (await tree_of(served.services, new.run.thread_id, new.run.run_id)).spans == new.spans
        finally:
            await pipeline.close()


async def test_a_trace_says_how_many_spans_did_not_fit_into_trace_run_max_bytes(
    valkey_url: str, keys: Keys, graphs: Registry, pipeline: Pipeline
) -> None:
    async with deployment(valkey_url, keys, graphs, trace_run_max_bytes=4096) as (sdk, served):
        tree = await run_and_read(sdk, served.services, "loop", config={"recursion_limit": 300})
        assert await stored_bytes(pipeline, keys) <= 4096 + BYTES_OF_TRACE
        assert len(tree.spans) + tree.left_out == 401, "an attempt, and 200 supersteps with a node each"
        assert tree.left_out > 100
        assert tree.only("attempt 1").ended_us, "the end of an attempt is always stored"


async def test_trace_content_records_inputs_and_outputs_without_secrets_up_to_8_kib(
    valkey_url: str, keys: Keys, graphs: Registry
) -> None:
    KNOWN.remember("A_SECRET", "argument-of-the-tool")
    async with deployment(valkey_url, keys, graphs, trace_content=True, trace_run_max_bytes=1 << 20) as (sdk, served):
        models = await run_and_read(sdk, served.services, "models", {"file": "x" * 20_000})
        tools = await run_and_read(sdk, served.services, "tools")
        failing = await run_and_read(sdk, served.services, "failing")
        asking = await run_and_read(sdk, served.services, "asking")
    for without in (failing.only("node fails"), asking.only("node asks")):
        assert "input" in without.attributes
        assert "output" not in without.attributes
    model = next(span for span in models.spans if span.kind == "model")
    assert "the prompt" in str(model.attributes["input"])
    assert "yes" in str(model.attributes["output"])
    node = models.only("node asks")
    assert 8000 < len(str(node.attributes["input"]).encode()) <= 8192
    assert "asked" in str(node.attributes["output"])
    for name in ("tool look_up", "tool plain_tool"):
        call = tools.only(name)
        assert "A_SECRET" in str(call.attributes["input"])
        assert call.attributes["output"]
    assert "argument-of-the-tool" not in repr(tools.spans)
