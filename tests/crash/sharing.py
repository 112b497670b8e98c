"""A cluster for the tests of one module. One that a failed test has used is replaced: one failure stays one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, Self

import pytest

from tests.crash.cluster import Cluster, running

FAILED: Final = pytest.StashKey[bool]()
"""On a test: whether a part of it has failed so far."""


class SharedCluster:
    """Makes clusters with these options, one after the other."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._cluster: Cluster | None = None
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._discard()

    @asynccontextmanager
    async def lent_to(self, test: pytest.Item) -> AsyncIterator[Cluster]:
        """The cluster, for the duration of one test. When the test fails, what it left running ends too."""
        if self._cluster is None:
            self._cluster = await self._open.enter_async_context(running(**self._options))
        before = asyncio.all_tasks()
        yield self._cluster
        if test.stash.get(FAILED, False):
            left = asyncio.all_tasks() - before - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await self._discard()

    async def _discard(self) -> None:
        self._cluster = None
        await self._open.aclose()
