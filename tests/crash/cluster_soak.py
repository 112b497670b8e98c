"""The soak test on a Redis Cluster: `python -m tests.crash.cluster_soak [--runs 300] [--seconds 60] [--seed N]`.

Besides what `tests.crash.soak` does to processes, primaries of the cluster are killed, so that their replicas are
promoted, and slots of shards are moved to other servers, key by key or at once. The checks are the same.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from typing import Final

import structlog

from slipway.redis.cluster_slots import slot_of
from tests.crash.cluster import running
from tests.crash.soak import Disturbance, Report, Soak
from tests.redis_cluster import RedisCluster, running_cluster

SHARDS: Final = 16


class ClusterSoak(Soak):
    """Half of the disturbances are those of the cluster."""

    disturbance_weights = (5, 2, 2, 2, 0)

    async def _disturb_once(self) -> None:
        if self.disturbance_rng.random() < 0.5:
            await super()._disturb_once()
            return
        disturbance = self.disturbance_rng.choice(["kill primary", "move slot", "move slot at once"])
        self.report.disturbances[disturbance] += 1
        # a lost primary may cost a superstep, as a lost Valkey does
        name = "kill valkey" if disturbance == "kill primary" else disturbance
        self.disturbances.append(Disturbance(time.time(), name, 0))
        await asyncio.to_thread(self._disturb_cluster, disturbance)
        self._start_exited()

    def _disturb_cluster(self, disturbance: str) -> None:
        cluster = self.cluster.redis_cluster
        assert cluster is not None
        if disturbance == "kill primary":
            cluster.kill(self.disturbance_rng.choice(cluster.primaries))
            cluster.wait_until_complete()
            cluster.complete()
            return
        slot = slot_of(self.disturbance_rng.choice(self.cluster.shards.every).prefix + ":")
        target = cluster.other_primary(cluster.primary_of(slot))
        if disturbance == "move slot":
            cluster.move_slot(slot, target)
        else:
            cluster.move_slot_at_once(slot, target)


async def soak_on(redis_cluster: RedisCluster, runs: int, seconds: float, seed: int) -> Report:
    """One soak test of a new deployment on this cluster."""
    async with running(
        webs=2, workers=3, max_attempts=50, drain_s=5, redis_cluster=redis_cluster, shards=SHARDS
    ) as cluster:
        return await ClusterSoak(cluster, runs, seconds, seed).run()


def main() -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash.cluster_soak",
        description="Kill processes and primaries of a cluster and move slots at random; nothing may be lost.",
    )
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with running_cluster() as redis_cluster:
        report = asyncio.run(soak_on(redis_cluster, arguments.runs, arguments.seconds, arguments.seed))
    print(report.table())
    sys.exit(1 if report.problems else 0)


if __name__ == "__main__":
    main()
