"""Kills the primary at a random moment, promotes its replica, and counts what was acknowledged and is not there.

    python -m tests.replication.rounds --rounds 30 --durability replicated
    python -m tests.replication.rounds --rounds 30 --durability async

In each round clients create runs one after another, a worker executes them, and what the primary sends to the replica
is held back again and again for a random time. Acknowledged are: a run, when its creation has returned; a superstep,
when the one after it has begun; the end of a run, when a client has received it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Final

from slipway.errors import StoreUnavailable
from slipway.graphs.registry import Registry
from slipway.runs.record import Phase
from slipway.services import Services, open_services
from tests.replication.conftest import PROJECT
from tests.replication.pair import Pair, pair
from tests.replication.services import create_run, events_to_end, settings_of
from tests.worker import running_worker

CLIENTS: Final = 8
SUPERSTEPS: Final = 5
_UNTIL_KILL_S: Final = (0.5, 1.5)
_HELD_S: Final = (0.0, 0.1)
_BETWEEN_S: Final = (0.0, 0.1)


@dataclass(slots=True)
class Acknowledged:
    """What a round has told clients, or based the next superstep on."""

    created: dict[str, str] = field(default_factory=dict)
    """The thread of each run."""
    ended: set[str] = field(default_factory=set)
    supersteps: dict[str, int] = field(default_factory=dict)
    """By thread: how many supersteps have ended at least."""


@dataclass(slots=True)
class Losses:
    """How many acknowledged things there were, and how many of them the promoted replica lacks."""

    created: int = 0
    supersteps: int = 0
    ended: int = 0
    lost_runs: int = 0
    lost_supersteps: int = 0
    lost_ends: int = 0
    rounds_with_losses: int = 0

    @property
    def any(self) -> bool:
        return bool(self.lost_runs or self.lost_supersteps or self.lost_ends)

    def add(self, other: Losses) -> None:
        for name in Losses.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        return (
            f"lost {self.lost_runs} of {self.created} runs, {self.lost_supersteps} of {self.supersteps} supersteps, "
            f"{self.lost_ends} of {self.ended} ends; rounds with losses: {self.rounds_with_losses}"
        )


async def one_round(graphs: Registry, durability: str, chance: random.Random, *, on: str = "memory") -> Losses:
    """Starts a pair, kills its primary under load, and looks at what the replica has."""
    begun = _project_of(graphs).begun
    begun.clear()
    async with pair() as servers:
        settings = settings_of(servers.url, replicated_on=on)
        async with AsyncExitStack() as processes:
            web = await processes.enter_async_context(open_services(settings, graphs, "web"))
            await processes.enter_async_context(running_worker(settings, graphs))
            told = Acknowledged()
            async with _load(web, servers, durability, told, chance):
                await asyncio.sleep(chance.uniform(*_UNTIL_KILL_S))
                at_kill = Acknowledged(
                    dict(told.created), set(told.ended), {thread: count - 1 for thread, count in begun.items()}
                )
                await servers.kill_primary()
            await servers.promote()
            losses = await _losses(servers, graphs, at_kill)
            await servers.take_over()
            async with servers.another_replica():  # so that the processes need not wait for one before they end
                await processes.aclose()
    return losses


def _project_of(graphs: Registry) -> ModuleType:
    return sys.modules[str(getattr(graphs.load_object("./graphs.py:step"), "__module__", ""))]


@asynccontextmanager
async def _load(
    web: Services, servers: Pair, durability: str, told: Acknowledged, chance: random.Random
) -> AsyncIterator[None]:
    """Clients and a slow link, until the end of the block."""
    tasks = [asyncio.create_task(_client(web, durability, told)) for _ in range(CLIENTS)]
    tasks.append(asyncio.create_task(_slow_link(servers, chance)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _client(web: Services, durability: str, told: Acknowledged) -> None:
    while True:
        try:
            run = await create_run(web, durability, supersteps=SUPERSTEPS)
        except StoreUnavailable:
            return
        told.created[run.run_id] = run.thread_id
        if "end" in await events_to_end(web, run.run_id):
            told.ended.add(run.run_id)


async def _slow_link(servers: Pair, chance: random.Random) -> None:
    while True:
        servers.delay_link()
        await asyncio.sleep(chance.uniform(*_HELD_S))
        servers.restore_link()
        await asyncio.sleep(chance.uniform(*_BETWEEN_S))


async def _losses(servers: Pair, graphs: Registry, told: Acknowledged) -> Losses:
    losses = Losses(len(told.created), sum(told.supersteps.values()), len(told.ended))
    async with open_services(settings_of(servers.replica_url), graphs, "cli") as replica:
        for run_id in told.created:
            phase = await replica.pipeline.send("HGET", replica.keys.run(run_id), "phase")
            losses.lost_runs += phase is None
            losses.lost_ends += run_id in told.ended and phase != str(Phase.COMPLETED).encode()
        for thread_id, ended in told.supersteps.items():
            newest = await replica.checkpointer.latest(thread_id)
            values = {} if newest is None else newest.checkpoint["channel_values"]
            losses.lost_supersteps += max(0, ended - values.get("done", 0))
    losses.rounds_with_losses = int(losses.any)
    return losses


async def _main(arguments: argparse.Namespace) -> Losses:
    graphs, chance, total = await Registry.load(PROJECT), random.Random(arguments.seed), Losses()
    for number in range(1, arguments.rounds + 1):
        losses = await one_round(graphs, arguments.durability, chance, on=arguments.on)
        total.add(losses)
        print(f"round {number}: {losses}", flush=True)
    print(f"{arguments.durability}, {arguments.rounds} rounds: {total}")
    return total


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 1 if a round with durability `replicated` lost something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--durability", choices=("async", "sync", "replicated"), default="replicated")
    parser.add_argument("--on", choices=("disk", "memory"), default="memory", help="SLIPWAY_REPLICATED_ON")
    arguments = parser.parse_args(argv)
    total = asyncio.run(_main(arguments))
    return int(arguments.durability == "replicated" and total.any)


if __name__ == "__main__":
    sys.exit(main())
