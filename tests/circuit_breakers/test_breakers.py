"""Circuit breakers: every transition, also with many callers at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from slipway.circuit_breakers.breakers import BREAKERS, BreakerLimits, Breakers, provide_breakers
from slipway.circuit_breakers.record import BreakerRecord
from slipway.errors import BreakerOpen
from slipway.redis.connection import Address
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_pipeline import ServerPipeline
from tests.waiting import wait_until

NAME = "openai:gpt-5"
LIMITS = BreakerLimits(failures=3, window_s=60, open_s=0.05)
LONG = BreakerLimits(failures=3, window_s=60, open_s=60)


class Broken(Exception):
    """The service does not work."""


async def fail(breakers: Breakers, error: BaseException | None = None) -> None:
    with suppress(Broken):
        async with breakers.call("model", NAME):
            raise error or Broken


async def succeed(breakers: Breakers) -> None:
    async with breakers.call("model", NAME):
        pass


async def opened(breakers: Breakers) -> None:
    for _ in range(LIMITS.failures):
        await fail(breakers)


async def record(breakers: Breakers) -> BreakerRecord | None:
    found = (await breakers.list_all()).breakers
    return next((each for each in found if each.name == NAME), None)


async def half_open(breakers: Breakers) -> None:
    """Waits until the probe is permitted."""

    async def permitted() -> bool:
        found = await record(breakers)
        return found is not None and found.state == "half_open"

    await wait_until(permitted)


@pytest.fixture
async def other_pipeline(valkey_url: str) -> AsyncIterator[Pipeline]:
    pipeline = ServerPipeline(Address(valkey_url), "other process", patience_s=5)
    await pipeline.open()
    try:
        yield pipeline
    finally:
        await pipeline.close()


async def test_failures_in_a_row_open_it_for_every_process(
    pipeline: Pipeline, other_pipeline: Pipeline, keys: Keys
) -> None:
    here, there = Breakers(pipeline, keys, LONG), Breakers(other_pipeline, keys, LONG)
    await fail(here)
    await fail(there)
    await succeed(here)
    await fail(there)
    await fail(here)
    found = await record(there)
    assert (found.state, found.failures, found.problem) == ("closed", 2, "Broken") if found else False
    await fail(there)
    for breakers in (here, there):
        with pytest.raises(
            BreakerOpen, match=r"model 'openai:gpt-5' was not called: its last 3 calls failed \(the last"
        ):
            await succeed(breakers)
    listed = await here.list_all()
    assert [(each.kind, each.state) for each in listed.breakers] == [("model", "open")]
    assert listed.openings == {f"model:{NAME}": 1}
    async with here.call("tool", NAME):
        pass  # another kind is another breaker


async def test_failures_that_are_older_than_the_window_do_not_count(pipeline: Pipeline, keys: Keys) -> None:
    breakers = Breakers(pipeline, keys, BreakerLimits(failures=3, window_s=0.4, open_s=60))
    await fail(breakers)
    for _ in range(2):  # the first is older than the window when the third fails
        await asyncio.sleep(0.25)  # the window is time
        await fail(breakers)
    found = await record(breakers)
    assert found is None or found.state == "closed"


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), KeyboardInterrupt()], ids=lambda error: type(error).__name__
)
async def test_a_call_that_was_stopped_is_no_failure(pipeline: Pipeline, keys: Keys, error: BaseException) -> None:
    breakers = Breakers(pipeline, keys, LONG)
    for _ in range(LONG.failures):
        with pytest.raises(type(error)):
            await fail(breakers, error)
    assert await record(breakers) is None


async def race(processes: list[Breakers], error: Exception | None) -> None:
    """40 calls at once, of which one is made. It ends with `error`."""
    made: list[Breakers] = []
    rejected: list[BreakerOpen] = []
    may_end = asyncio.Event()

    async def call(breakers: Breakers) -> None:
        try:
            async with breakers.call("model", NAME):
                made.append(breakers)
                await may_end.wait()
                if error is not None:
                    raise error
        except BreakerOpen as refused:
            rejected.append(refused)

    calls = [asyncio.create_task(call(processes[number % 2])) for number in range(40)]
    await wait_until(lambda: len(rejected) == 39)
    assert len(made) == 1
    may_end.set()
    assert [each for each in await asyncio.gather(*calls, return_exceptions=True) if each] == ([error] if error else [])


async def test_exactly_one_call_of_all_processes_is_the_probe(
    pipeline: Pipeline, other_pipeline: Pipeline, keys: Keys
) -> None:
    processes = [Breakers(each, keys, LIMITS) for each in (pipeline, other_pipeline)]
    await opened(processes[0])
    await half_open(processes[0])
    await race(processes, Broken())
    found = await record(processes[1])
    assert found is not None
    assert found.failures == LIMITS.failures + 1
    await half_open(processes[0])
    await race(processes, None)
    assert await record(processes[1]) is None
    await succeed(processes[1])


async def test_a_probe_that_never_ends_or_is_cancelled_is_replaced(pipeline: Pipeline, keys: Keys) -> None:
    breakers = Breakers(pipeline, keys, LIMITS)
    await opened(breakers)
    await half_open(breakers)
    await breakers.enter(f"model:{NAME}", "of-a-killed-process", probe_s=0.05)
    with pytest.raises(BreakerOpen):
        await succeed(breakers)
    await half_open(breakers)

    async def probe_is_permitted() -> bool:
        found = await record(breakers)
        return found is not None and found.retry_in_ms == 0

    await wait_until(probe_is_permitted)
    entered = asyncio.Event()

    async def never_ends() -> None:
        async with breakers.call("model", NAME):
            entered.set()
            await asyncio.Event().wait()

    probe = asyncio.create_task(never_ends())
    await entered.wait()
    with pytest.raises(BreakerOpen):
        await succeed(breakers)
    probe.cancel()
    await asyncio.wait([probe])
    await wait_until(probe_is_permitted)
    await succeed(breakers)
    assert await record(breakers) is None


async def test_a_call_from_before_it_opened_changes_nothing(pipeline: Pipeline, keys: Keys) -> None:
    breakers = Breakers(pipeline, keys, LONG)
    await fail(breakers)
    async with breakers.call("model", NAME):
        await fail(breakers)
        await fail(breakers)
    with pytest.raises(BreakerOpen):
        await succeed(breakers)


async def test_a_repeated_script_counts_a_failure_once(pipeline: Pipeline, keys: Keys) -> None:
    breakers = Breakers(pipeline, keys, LONG)
    permitted = await breakers.enter(f"model:{NAME}", "one-call", 60)
    for _ in range(LONG.failures):
        await breakers.leave(f"model:{NAME}", "one-call", permitted, "failed", "Broken")
    found = await record(breakers)
    assert found is not None
    assert (found.state, found.failures) == ("closed", 1)


async def test_a_thread_uses_the_breakers_of_its_process(pipeline: Pipeline, keys: Keys) -> None:
    def call(fails: bool) -> None:
        with BREAKERS.call_sync("tool", "mail"):
            if fails:
                raise Broken

    call(fails=False)  # there are no breakers yet, and this thread runs an event loop
    with provide_breakers(Breakers(pipeline, keys, LONG)):
        for _ in range(LONG.failures):
            with pytest.raises(Broken):
                await asyncio.to_thread(call, fails=True)
        with pytest.raises(BreakerOpen):
            await asyncio.to_thread(call, fails=False)
        with pytest.raises(BreakerOpen):
            async with BREAKERS.call("tool", "mail"):
                pass
    async with BREAKERS.call("tool", "mail"):
        pass
