"""Commands of the event protocol while a run executes, without a worker: the test claims the run itself."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from slipway.sse_frames import encode_frame
from tests.events.conftest import send_command, start_run
from tests.http.conftest import Served


async def active_run(client: httpx.AsyncClient, served: Served, thread: str) -> str:
    """Start a run and claim it, so that its record says that it executes."""
    run = await start_run(client, thread, "steps", input={"until": 1})
    await served.services.queues[0].run_claim("w", 1, 60_000)
    return run


async def test_a_state_that_looks_like_an_interrupt_does_not_delay_the_next_run(
    served: Served, client: httpx.AsyncClient, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.api.event_commands.WAIT_FOR_INTERRUPT_S", 3600)
    log = served.services.keys.events(await active_run(client, served, thread))
    state = encode_frame("values", b'{"note":{"__interrupt__":["copied by the graph"]}}')
    await served.services.pipeline.send("XADD", log, "*", "n", "values", "f", state)
    async with asyncio.timeout(30):
        await start_run(client, thread, "steps", input={"until": 1})


async def test_a_run_at_a_checkpoint_that_does_not_exist_is_rejected(client: httpx.AsyncClient, thread: str) -> None:
    config = {"configurable": {"checkpoint_id": "1f0e1d2c-0000-6000-8000-000000000000"}}
    reply = await send_command(client, thread, "run.start", assistant_id="steps", input={"until": 1}, config=config)
    assert (reply["type"], reply["error"]) == ("error", "invalid_argument")
    assert "1f0e1d2c-0000-6000-8000-000000000000" in reply["message"]
    assert (await client.get(f"/threads/{thread}")).status_code == 404, "no thread was created for it"
