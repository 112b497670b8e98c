"""Where servers of the event protocol go wrong; the other traps are in `tests/compat/test_protocol_details.py`."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.events.conftest import command, completed, listening, start, until

pytestmark = pytest.mark.usefixtures("worker")


async def test_19_errors_are_200_ids_are_the_same_for_all_and_nothing_ends(
    client: httpx.AsyncClient, thread: str
) -> None:
    """Refused commands are answers; the end of a run names it; every connection is told the same, and stays open."""
    assert (await command(client, thread, "fly"))["error"] == "unknown_command"
    run_id = await start(client, thread, "steps", input={"until": 3})
    async with listening(client, thread) as first, listening(client, thread, channels=["lifecycle"]) as second:
        everything, lifecycle = await until(first, completed), await until(second, completed)
        root = [event for event in lifecycle if not event["params"]["namespace"]]
        assert [event["event_id"] for event in root] == [
            f"synth:{run_id}:lc||running",
            f"synth:{run_id}:lc||completed",
        ]
        numbers = {event["event_id"]: event["seq"] for event in everything}
        assert len(numbers) == len(everything)
        assert all(numbers[event["event_id"]] == event["seq"] for event in lifecycle)
        more = asyncio.ensure_future(anext(first))
        again = await start(client, thread, "steps", input={"until": 1})
        assert (await more)["event_id"] == f"synth:{again}:lc||running"
