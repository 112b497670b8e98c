"""Many clients of event streams on one web process: the short form of `make clients`, with the real server and real
sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from slipway.runs.record import new_id
from tests.bench.event_clients import NotOpened, Streams, allow_files, event_clients
from tests.bench.many_clients import IDLE, BusyRun, busy_use, idle_use, serving_many
from tests.bench.setup import Bench

pytestmark = [pytest.mark.processes, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

IDLE_CLIENTS = 1_000
GOAL_CLIENTS, GOAL_MB = 10_000, 600


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Bench]:
    """A web process, a worker and a Valkey."""
    async with serving_many(IDLE_CLIENTS, quick=True) as server:
        yield server


@pytest.mark.parametrize("followed", ["own runs", "own threads"])
async def test_10000_idle_clients_fit_in_600_mb(followed: str) -> None:
    """By what each of 1,000 clients adds to a new process; one that had other clients has free memory."""
    async with serving_many(IDLE_CLIENTS, quick=True) as server:
        use = await idle_use(server, IDLE_CLIENTS, IDLE[followed], idle_s=1)
    all_mb = use.rss_before_mb + (use.rss_mb - use.rss_before_mb) * GOAL_CLIENTS / IDLE_CLIENTS
    assert all_mb <= GOAL_MB, use


async def test_200_clients_of_a_busy_run_receive_every_event_in_time(server: Bench) -> None:
    """`busy_use` fails if one of them does not receive each event once and in order. The time is a median, because
    other tests share the cores."""
    use = await busy_use(server, BusyRun(clients=200, seconds=3, unread=10))
    assert use.received.spread_p50_ms <= 250, use
    assert use.received.lag_p50_ms <= 250, use


async def test_clients_that_read_nothing_delay_nobody_and_take_a_bounded_memory(server: Bench) -> None:
    """40 clients do not read the 16 MB that the run writes, of which the system keeps 4 MB; queues for all of them
    would have 480 MB."""
    use = await busy_use(server, BusyRun(clients=20, seconds=12, text_bytes=64 * 1024, unread=40))
    assert use.received.lag_p50_ms <= 250, use
    assert use.rss_growth_mb <= 100, use
    assert use.received.slow_clients == 40, use


async def test_too_few_open_files_for_the_clients_are_one_clear_line(server: Bench) -> None:
    with pytest.raises(NotOpened, match=r"^the clients need \d+ open files .*ulimit -Hn"):
        allow_files(10**9)
    with pytest.raises(NotOpened, match="404 Not Found"):
        async with event_clients(Streams(server.url, [f"/threads/{new_id()}/stream"])):
            pass
