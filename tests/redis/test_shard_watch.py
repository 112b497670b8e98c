"""The watch of shards notices what a cluster would reject."""

from __future__ import annotations

from slipway.redis.connection import Address
from slipway.redis.script import Script
from slipway.redis.server_pipeline import ServerPipeline
from tests.embedded_valkey import embedded_valkey
from tests.redis.shard_watch import watching

CODE = "redis.call('SET', ARGV[1], 1); redis.call('SET', ARGV[2], ARGV[3])"


async def test_a_script_that_uses_two_shards_is_noticed() -> None:
    script = Script("two", CODE, "", repeatable=True)
    with embedded_valkey() as url, watching(url.removeprefix("unix://")) as watch:
        pipeline = ServerPipeline(Address(url), "test", patience_s=5)
        await pipeline.open()
        for first, second, value in (
            ("test-1{1}:a", "test-1{1}:b", "a value with test-1{2}:b"),
            ("test-1{1}:a", "test-1{2}:b", ""),
        ):
            await pipeline.send("EVAL", script.source, 0, first, second, value)
        await pipeline.send("MGET", "test-1{1}:a", "test-1{3}:b")
        await pipeline.send("GET", "test-1{1}:a")
        await pipeline.close()
    assert len(watch.problems) == 2
    assert [each for each in watch.problems if each.startswith("test-1{1} test-1{2}")]
    assert [each for each in watch.problems if each.startswith("test-1{1} test-1{3}")]
    assert watch.scripts == 2
