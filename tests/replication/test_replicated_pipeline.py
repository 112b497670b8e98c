"""Calls of scripts return when replicas have what they wrote, and are repeated after a failover that lost it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from slipway.errors import NotReplicated, StoreUnavailable
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.replicated_pipeline import Copies, ReplicatedOn, ReplicatedPipeline, server_obstacle
from slipway.redis.script import Script
from tests.replication.pair import pair, pipeline_of
from tests.runs.servers import server
from tests.waiting import wait_until

MARK = "mark"
SOURCE = "return redis.call('SADD', 'written', ARGV[1])"
ADD = Script("add", SOURCE, hashlib.sha1(SOURCE.encode()).hexdigest(), repeatable=True)
"""Adds a member to the set `written`. A repetition writes nothing."""
ON_DISK, IN_MEMORY = Copies(1, "disk"), Copies(1, "memory")


@asynccontextmanager
async def replicated(url: str, copies: Copies) -> AsyncIterator[ReplicatedPipeline]:
    pipeline = ReplicatedPipeline(pipeline_to(Address(url), "test replicated", patience_s=30), MARK, copies)
    try:
        yield pipeline
    finally:
        await pipeline.close()


async def written_at(url: str) -> set[bytes]:
    """The members that a server has."""
    async with pipeline_of(url) as pipeline:
        return set(await pipeline.send("SMEMBERS", "written"))


@pytest.mark.parametrize("on", ["disk", "memory"])
async def test_a_reply_comes_when_the_replica_has_the_write(on: ReplicatedOn) -> None:
    async with pair() as servers, replicated(servers.url, Copies(1, on)) as pipeline:
        assert await pipeline.run(ADD, [], ["before"]) == 1
        servers.delay_link()
        reply = pipeline.run(ADD, [], ["waits"])
        await wait_until(lambda: pipeline.problem)
        assert not reply.done()
        assert await written_at(servers.primary.url) == {b"before", b"waits"}
        servers.restore_link()
        assert await reply == 1
        await servers.kill_primary()
        assert await written_at(servers.replica_url) == {b"before", b"waits"}


async def test_a_repetition_waits_for_what_the_first_call_wrote() -> None:
    """It writes nothing itself, so without the mark Redis would not make it wait."""
    async with (
        pair() as servers,
        pipeline_of(servers.primary.url) as plain,
        replicated(servers.url, IN_MEMORY) as pipeline,
    ):
        await pipeline.check(10)
        servers.delay_link()
        await plain.run(ADD, [], ["once"])
        repetition = pipeline.run(ADD, [], ["once"])
        await wait_until(lambda: pipeline.problem)
        assert not repetition.done()
        servers.restore_link()
        assert await repetition == 0


async def test_what_a_failover_lost_is_called_again_on_the_promoted_replica() -> None:
    """The reply has arrived, and the replica has nothing of it when the primary is killed."""
    async with pair() as servers, replicated(servers.url, IN_MEMORY) as pipeline:
        await pipeline.run(ADD, [], ["confirmed"])
        servers.delay_link()
        replies = [pipeline.run(ADD, [], [f"lost-{n}"]) for n in range(3)]
        await wait_until(lambda: pipeline.problem)
        assert len(await written_at(servers.primary.url)) == 4
        await servers.kill_primary()
        assert await written_at(servers.replica_url) == {b"confirmed"}
        await servers.take_over()
        await wait_until(lambda: pipeline.connections == 2)
        assert not any(reply.done() for reply in replies), "the promoted server has no replica that could confirm"
        async with servers.another_replica():
            assert await asyncio.gather(*replies) == [1, 1, 1]
        assert len(await written_at(servers.replica_url)) == 4


async def test_a_confirmation_counts_for_the_connection_of_the_reply() -> None:
    """The next server has a replica already, so it confirms the first question. What was called before is not there."""
    async with pair() as servers, replicated(servers.url, IN_MEMORY) as pipeline:
        await pipeline.check(10)
        servers.delay_link()
        reply = pipeline.run(ADD, [], ["lost"])
        await wait_until(lambda: pipeline.problem)
        await servers.kill_primary()
        await servers.promote()
        async with servers.another_replica():
            await wait_until(lambda: not pipeline.connected)
            await servers.take_over()
            assert await reply == 1
        assert await written_at(servers.replica_url) == {b"lost"}


async def test_a_script_that_is_not_repeatable_fails_instead() -> None:
    once = replace(ADD, repeatable=False)
    async with pair() as servers, replicated(servers.url, IN_MEMORY) as pipeline:
        await pipeline.check(10)
        servers.delay_link()
        reply = pipeline.run(once, [], ["lost"])
        await wait_until(lambda: pipeline.problem)
        await servers.kill_primary()
        await servers.take_over()
        with pytest.raises(StoreUnavailable, match="the outcome is unknown"):
            await asyncio.wait_for(reply, 30)
        assert await written_at(servers.replica_url) == set()


async def test_a_check_says_why_nobody_confirms() -> None:
    async with server() as alone, replicated(alone.url, ON_DISK) as pipeline:
        with pytest.raises(NotReplicated, match=r"^0 of 1 replica confirmed a write within 1 s$"):
            await pipeline.check(5)


async def test_a_check_fails_at_once_if_the_server_has_no_append_only_file() -> None:
    no_file = "--appendonly", "no"
    async with server(*no_file) as alone, replicated(alone.url, ON_DISK) as pipeline:
        with pytest.raises(NotReplicated, match="the primary has no append-only file: set appendonly yes"):
            await pipeline.check(60)
        async with pipeline_of(alone.url) as plain:
            assert "SLIPWAY_REPLICATED_ON=memory" in await server_obstacle(plain, ON_DISK)
            assert await server_obstacle(plain, IN_MEMORY) == ""


async def test_a_replica_without_an_append_only_file_does_not_confirm() -> None:
    async with pair() as servers, replicated(servers.url, ON_DISK) as pipeline:
        async with pipeline_of(servers.replica_url) as replica:
            await replica.send("CONFIG", "SET", "appendonly", "no")
        with pytest.raises(NotReplicated, match=r"on disk \(a replica needs appendonly yes\)$"):
            await pipeline.check(6)


async def test_a_check_costs_nothing_while_writes_are_confirmed() -> None:
    async with pair() as servers, replicated(servers.url, ON_DISK) as pipeline:
        await pipeline.check(10)
        sent = pipeline.round_trips
        await pipeline.check(10)
        assert pipeline.round_trips == sent
        servers.delay_link()
        waits = pipeline.run(ADD, [], ["waits"])
        await wait_until(lambda: pipeline.problem)
        assert not waits.done()
        with pytest.raises(NotReplicated):
            await pipeline.check(1)


async def test_calls_that_wait_together_share_a_round() -> None:
    async with pair() as servers, replicated(servers.url, ON_DISK) as pipeline:
        await pipeline.run(ADD, [], ["first"])  # Redis has the script from now on
        sent = pipeline.round_trips
        await asyncio.gather(*(pipeline.run(ADD, [], [n]) for n in range(100)))
        assert pipeline.round_trips <= sent + 2


async def test_whoever_waits_no_more_does_not_disturb_the_others() -> None:
    async with pair() as servers, replicated(servers.url, IN_MEMORY) as pipeline:
        await pipeline.check(10)
        servers.delay_link()
        impatient, patient = pipeline.run(ADD, [], ["impatient"]), pipeline.run(ADD, [], ["patient"])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(impatient, 0.2)
        servers.restore_link()
        assert await patient == 1
        assert await written_at(servers.replica_url) == {b"impatient", b"patient"}


async def test_closing_fails_what_is_not_confirmed() -> None:
    async with pair() as servers, replicated(servers.url, IN_MEMORY) as pipeline:
        await pipeline.check(10)
        servers.delay_link()
        waits = pipeline.run(ADD, [], ["waits"])
        await wait_until(lambda: pipeline.problem)
        await pipeline.close()
        with pytest.raises(StoreUnavailable):
            await waits
