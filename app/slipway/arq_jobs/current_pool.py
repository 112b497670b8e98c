"""The arq client of this process, which `slipway.arq` gives to the project's code."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from arq.connections import ArqRedis

from slipway.errors import ConfigError


@dataclass(frozen=True, slots=True, eq=False)
class OpenPool:
    """The client and the event loop that it belongs to. `redis` is None when langgraph.json names no arq
    application."""

    redis: ArqRedis | None
    loop: asyncio.AbstractEventLoop


_OPEN: Final[list[OpenPool]] = []
"""The pools of the services that are open in this process, the newest last: one, except in tests."""


@contextmanager
def provide_pool(redis: ArqRedis | None) -> Iterator[None]:
    """Inside the block, `current_pool` returns `redis`."""
    opened = OpenPool(redis, asyncio.get_running_loop())
    _OPEN.append(opened)
    try:
        yield
    finally:
        _OPEN.remove(opened)


def current_pool() -> tuple[ArqRedis, asyncio.AbstractEventLoop]:
    """The client and its event loop. Raises `ConfigError` without an arq application, and `RuntimeError` outside a web
    process or worker."""
    if not _OPEN:
        raise RuntimeError(
            "slipway.arq was used outside a web process or worker of Slipway, or while a module was imported: use it "
            "inside a node, an arq function, a route or a lifespan"
        )
    opened = _OPEN[-1]
    if opened.redis is None:
        raise ConfigError('slipway.arq: langgraph.json names no arq application: {"slipway": {"arq": "./tasks.py:…"}}')
    return opened.redis, opened.loop
