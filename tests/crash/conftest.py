"""The fixtures `cluster` and `client`, and a record of the tests that failed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator

import pytest
import pytest_asyncio

from tests.crash.clients import Client
from tests.crash.cluster import Cluster
from tests.crash.shared_cluster import FAILED_KEY, SharedCluster


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(shared: SharedCluster, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """The cluster of the module's fixture `shared`; all its processes run."""
    async with shared.cluster_for(request.node) as cluster:
        await cluster.start_stopped_processes()
        yield cluster


@pytest_asyncio.fixture(loop_scope="module")
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    client = Client(*(web.url for web in cluster.webs))
    yield client
    await client.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED_KEY] = True
    return report
