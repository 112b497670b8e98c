"""A deployment on a Redis Cluster whose primaries are killed and whose slots move: nothing is lost or done twice."""

from __future__ import annotations

import pytest

from tests.crash.cluster_soak import soak_on
from tests.redis_cluster import running_cluster

pytestmark = pytest.mark.timeout(240)


async def test_killed_primaries_and_moved_slots_lose_nothing() -> None:
    with running_cluster() as redis_cluster:
        report = await soak_on(redis_cluster, runs=60, seconds=20, seed=1)
    assert not report.problems, report.table()
    assert report.disturbances["kill primary"]
    assert report.disturbances["move slot"]
    assert report.disturbances["move slot at once"]
