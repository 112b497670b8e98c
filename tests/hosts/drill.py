"""Hosts are cut off and healed while runs execute: `python -m tests.hosts.drill [--runs N] [--seconds S] [--seed N]`.

Redis, two web processes and three workers are on hosts of their own, in network namespaces. Their clocks differ by up
to ten minutes. Again and again a host is cut off: packets are dropped and no socket is closed. After a time that is
shorter or longer than the lease, it is healed. In the end the checks of the soak test hold: each run has ended once,
its event log has no gap and no event twice, and only the supersteps of attempts that lost their run were executed
again. Prints a table; the exit code is 1 when it found a problem.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Mapping
from typing import Final

import structlog

from tests.crash.cluster import LEASE_S, Process
from tests.crash.effects import Effect
from tests.crash.soak import Disturbance, Report, Soak
from tests.hosts.clocks import library
from tests.hosts.deployment import AHEAD_S, Deployment, running
from tests.hosts.network import Host, NetworkName, in_own_namespace, missing_requirement

SHORTER: Final = (0.2, 0.4 * LEASE_S)
LONGER: Final = (1.5 * LEASE_S, 2.5 * LEASE_S)
"""Seconds of a cut, compared with the lease: between the first and the second figure."""

_CUTS: Final[Mapping[str, tuple[str, tuple[NetworkName, ...], tuple[float, float]]]] = {
    "a worker for less than its lease": ("worker", (), SHORTER),
    "a worker for longer than its lease": ("worker", (), LONGER),
    "a web process from Redis": ("web", ("private",), (SHORTER[0], LONGER[1])),
    "a web process from Redis and clients": ("web", (), (SHORTER[0], LONGER[1])),
    "Redis for less than a lease": ("valkey", (), SHORTER),
    "Redis for longer than a lease": ("valkey", (), LONGER),
    "a worker, which is killed meanwhile": ("killed worker", (), (SHORTER[0], LONGER[1])),
}
"""What is cut off: the kind of process, the networks (all, if none is named), and for how many seconds."""

_WEIGHTS: Final = (3, 4, 2, 2, 1, 1, 2)


class Cuts(Soak):
    """A soak test in which hosts are cut off."""

    client_timeout_s = 3.0

    def __init__(self, deployment: Deployment, runs: int, seconds: float, seed: int) -> None:
        super().__init__(deployment.cluster, runs, seconds, seed)
        self.deployment = deployment

    async def _disturb_once(self) -> None:
        rng = self.disturbance_rng
        [name] = rng.choices(list(_CUTS), _WEIGHTS)
        kind, networks, seconds = _CUTS[name]
        process, host = self._target(kind)
        self.report.disturbances[f"cut {name}"] += 1
        self.disturbances.append(Disturbance(time.time(), f"cut {name}", process.pid))
        with host.cut_off(*networks):
            await asyncio.sleep(rng.uniform(*seconds))
            if kind == "killed worker":
                await process.kill()
        self._start_exited()

    def _target(self, kind: str) -> tuple[Process, Host]:
        deployment = self.deployment
        if kind == "valkey":
            return deployment.cluster.valkey, deployment.valkey
        processes = deployment.webs if kind == "web" else deployment.workers
        process = self.disturbance_rng.choice(list(processes))
        return process, processes[process]

    def _losses_of_redis(self, effects: list[Effect]) -> int:
        """A worker that is cut off has lost Redis too: each of its attempts that is continued by another."""
        return len({effect.attempt for effect in effects}) - 1


async def drill(runs: int, seconds: float, seed: int) -> Report:
    """One drill on a new deployment. If libfaketime is installed, the clocks of the hosts differ."""
    ahead_s = AHEAD_S if library() else 0
    async with running(
        webs=(ahead_s, -ahead_s), workers=(ahead_s, 0, -ahead_s), max_attempts=50, drain_s=5
    ) as deployment:
        return await Cuts(deployment, runs, seconds, seed).run()


def main() -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    parser = argparse.ArgumentParser(
        prog="python -m tests.hosts.drill", description="Cut hosts off and check that nothing is lost or done twice."
    )
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    if (reason := missing_requirement()) is not None:
        sys.exit(reason)
    print(f"seed {arguments.seed}" + ("" if library() else "; libfaketime is missing: all clocks agree"), flush=True)
    report = in_own_namespace(lambda: drill(arguments.runs, arguments.seconds, arguments.seed))
    print(report.table())
    sys.exit(1 if report.problems else 0)


if __name__ == "__main__":
    main()
