"""A cluster for all tests of one module. After a failed test the cluster is replaced, so that no other test fails with
it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, Self

import pytest

from tests.crash.cluster import Cluster, running

FAILED_KEY: Final = pytest.StashKey[bool]()
"""Stored on a test whose setup, call or teardown has failed."""


class SharedCluster:
    """Starts a cluster with these options at the first use, and again after a failed test."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._cluster: Cluster | None = None
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._discard()

    @asynccontextmanager
    async def cluster_for(self, test: pytest.Item) -> AsyncIterator[Cluster]:
        """The cluster for one test. If the test fails, its remaining asyncio tasks are cancelled."""
        if self._cluster is None:
            self._cluster = await self._open.enter_async_context(running(**self._options))
        before = asyncio.all_tasks()
        yield self._cluster
        if test.stash.get(FAILED_KEY, False):
            remaining = asyncio.all_tasks() - before - {asyncio.current_task()}
            for task in remaining:
                task.cancel()
            await asyncio.gather(*remaining, return_exceptions=True)
            await self._discard()

    async def _discard(self) -> None:
        self._cluster = None
        await self._open.aclose()
