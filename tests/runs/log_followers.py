"""A run whose events are numbers, and followers that collect the events of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.event_log import EventLog
from slipway.runs.events import Event
from slipway.runs.log_polls import POLL_S
from slipway.runs.record import Run
from tests.runs.conftest import Stores, settlement


class NumberWriter:
    """Appends the numbers 1, 2, 3, ... to the event log of a run, as events named `values`."""

    def __init__(self, stores: Stores, run: Run) -> None:
        self.stores, self.run, self.run_id = stores, run, run.run_id
        self.attempt = AttemptWriter(stores.scripts, run)
        self.last_number = 0

    def append(self, count: int = 1) -> None:
        """Appends numbers in one write group, without waiting for it."""
        for _ in range(count):
            self.last_number += 1
            self.attempt.append("values", b"event: values\r\ndata: %d\r\n" % self.last_number)

    async def write(self, count: int = 1) -> None:
        """Appends numbers and waits until Redis has stored them."""
        self.append(count)
        await self.attempt.flush()

    async def settle(self) -> None:
        """Settles the run as completed."""
        await self.attempt.settle(settlement(self.run))


async def start_writer(stores: Stores) -> NumberWriter:
    """The writer of a new run that a worker has just claimed."""
    await stores.create_run()
    return NumberWriter(stores, await stores.claim_one())


class Follower:
    """A task that follows the log of a run and collects its events."""

    def __init__(self, event_log: EventLog, run_id: str, after: str = "0") -> None:
        self.events: list[Event] = []
        self.task = asyncio.create_task(self._follow(event_log, run_id, after))

    async def _follow(self, event_log: EventLog, run_id: str, after: str) -> None:
        batches = event_log.follow(run_id, after)
        try:
            async for batch in batches:
                self.events.extend(batch)
        finally:
            await batches.aclose()

    @property
    def numbers(self) -> list[int]:
        """The received numbers in order."""
        return numbers_in(self.events)

    async def wait_until_end(self) -> Follower:
        """Waits for the end event, for less time than passes between two polls of the log."""
        async with asyncio.timeout(POLL_S * 2 / 3):
            await self.task
        return self

    async def disconnect(self) -> None:
        """Cancels the task and waits until it ended."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def numbers_in(events: Sequence[Event]) -> list[int]:
    """The numbers in the data of the events named `values`."""
    return [int(event.data) for event in events if event.name == "values"]
