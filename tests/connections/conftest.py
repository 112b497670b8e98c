"""A real web process with low limits, which the tests reach by bare sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.crash.cluster import Cluster, Web, running

LIMITS: Final[dict[str, Any]] = {
    "max_request_line_bytes": 2000,
    "max_headers": 20,
    "max_header_bytes": 3000,
    "max_headers_bytes": 6000,
    "max_pipelined_requests": 4,
    "max_body_bytes": 200_000,
    "request_head_timeout_s": 1,
    "request_body_timeout_s": 1.5,
    "response_read_timeout_s": 1,
    "keep_alive_s": 2,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    async with running(webs=1, **LIMITS) as cluster:
        yield cluster


@pytest.fixture
def web(cluster: Cluster) -> Web:
    """The web process."""
    return cluster.webs[0]
