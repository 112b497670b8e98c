"""A worker is killed with SIGKILL before, while and after it calls a webhook: nothing is lost, and what is repeated has
the same id and the same bytes."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from langgraph_sdk.client import LangGraphClient

from slipway import failpoints
from slipway.redis.keys import Keys
from slipway.redis.layout import LayoutRecord
from slipway.redis.pipeline import Pipeline
from slipway.settings import Settings
from slipway_workers.duties.deliveries import Deliveries
from tests.environment import PYTHON_PATH, bare_environment
from tests.http.conftest import Served
from tests.shards import shards_of
from tests.waiting import Eventually
from tests.webhooks.conftest import SECRET, Receiver
from tests.webhooks.test_deliveries import cancelled_run, is_delivered, make_due

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]

STARTS_WITHIN_S = 60


@asynccontextmanager
async def worker_process(
    settings: Settings, valkey_url: str, failpoint: str | None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`slipway worker` on the deployment of the test. It kills itself at the failpoint."""
    env = bare_environment() | {
        "SLIPWAY_REDIS_URL": valkey_url,
        "SLIPWAY_KEY_PREFIX": settings.key_prefix,
        "SLIPWAY_CONFIG": str(settings.config),
        "SLIPWAY_WEBHOOK_SECRET": SECRET,
        "PYTHONPATH": PYTHON_PATH,
        **({} if failpoint is None else {failpoints.VARIABLE: failpoint}),
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "slipway", "worker", env=env)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize(
    ("failpoint", "calls"), [("webhook_claimed", 1), ("webhook_stored", 1), (None, 2), ("webhook_called", 2)]
)
async def test_a_webhook_survives_its_worker(
    sdk: LangGraphClient,
    served: Served,
    settings: Settings,
    valkey_url: str,
    receiver: Receiver,
    pipeline: Pipeline,
    keys: Keys,
    eventually: Eventually,
    failpoint: str | None,
    calls: int,
) -> None:
    """Without a failpoint the worker is killed while the receiver has the request and has not answered."""
    await LayoutRecord(pipeline, shards_of(keys)).check_or_upgrade()
    received = asyncio.Event()
    hold = asyncio.Event()

    async def before_answer() -> None:
        received.set()
        await hold.wait()

    receiver.before_answer = None if failpoint else before_answer
    run_id = await cancelled_run(sdk, receiver.url)
    async with worker_process(settings, valkey_url, failpoint) as process, asyncio.timeout(STARTS_WITHIN_S):
        if failpoint is None:
            await received.wait()
            process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
    hold.set()
    receiver.before_answer = None
    assert not await is_delivered(served, run_id)
    other = Deliveries(served.services)
    assert await other.run_once() == 0, "its claim has not ended"
    await make_due(pipeline, keys)
    await other.run_once()
    await eventually(lambda: is_delivered(served, run_id))
    assert len(receiver.raw_bodies) == calls
    assert {headers["webhook-id"] for headers in receiver.headers} == {run_id}
    assert len(set(receiver.raw_bodies)) == 1
    details = await served.services.deliveries.get(run_id)
    assert [(each.number, each.problem) for each in details.tries] == [
        (1, "the process ended before it stored the result"),
        (2, None),
    ]
