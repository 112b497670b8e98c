"""Connections to one thread receive equal events. Further details: `tests/compat/test_protocol_details.py`."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.events.conftest import event_stream, is_completed, receive_until, send_command, start_run

pytestmark = pytest.mark.usefixtures("worker")


async def test_19_command_errors_are_200_and_all_connections_receive_equal_ids_and_stay_open(
    client: httpx.AsyncClient, thread: str
) -> None:
    """A rejected command gets a response; the end event names its run; every connection receives the same events."""
    assert (await send_command(client, thread, "fly"))["error"] == "unknown_command"
    run_id = await start_run(client, thread, "steps", input={"until": 3})
    async with event_stream(client, thread) as first, event_stream(client, thread, channels=["lifecycle"]) as second:
        all_events, lifecycle = await receive_until(first, is_completed), await receive_until(second, is_completed)
        root = [event for event in lifecycle if not event["params"]["namespace"]]
        assert [event["event_id"] for event in root] == [
            f"synth:{run_id}:lc||running",
            f"synth:{run_id}:lc||completed",
        ]
        numbers = {event["event_id"]: event["seq"] for event in all_events}
        assert len(numbers) == len(all_events)
        assert all(numbers[event["event_id"]] == event["seq"] for event in lifecycle)
        next_event = asyncio.ensure_future(anext(first))
        second_run = await start_run(client, thread, "steps", input={"until": 1})
        assert (await next_event)["event_id"] == f"synth:{second_run}:lc||running"
