"""Commands of the event protocol while a run executes, without a worker: the test claims the run itself."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from slipway.sse_frames import encode_frame
from tests.events.conftest import start
from tests.http.conftest import Served


async def active_run(client: httpx.AsyncClient, served: Served, thread: str) -> str:
    """A run that executes, as far as Redis knows."""
    run = await start(client, thread, "steps", input={"until": 1})
    await served.services.scripts.run_claim("w", 1, 60_000)
    return run


async def test_a_state_that_looks_like_an_interrupt_does_not_delay_the_next_run(
    served: Served, client: httpx.AsyncClient, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.api.routes.event_commands.WAIT_FOR_INTERRUPT_S", 3600)
    log = served.services.keys.events(await active_run(client, served, thread))
    state = encode_frame("values", b'{"note":{"__interrupt__":["copied by the graph"]}}')
    await served.services.pipeline.send("XADD", log, "*", "n", "values", "f", state)
    async with asyncio.timeout(30):
        await start(client, thread, "steps", input={"until": 1})
