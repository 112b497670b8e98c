"""A pool of redis-py with a fixed number of connections, in which a command waits while all are in use.

redis-py has `BlockingConnectionPool`, which is not used here: when tasks are cancelled while they wait for a connection
or give one back, it loses connections or wakes nobody, until no command gets a connection any more. Tasks of graphs and
of jobs are cancelled all the time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final
from weakref import WeakSet

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError

WAIT_S: Final = 30.0
"""Seconds that a command waits for a free connection. It raises `redis.ConnectionError` then, so that connections which
the project never gives back are noticed."""

_RECHECK_S: Final = 1.0
"""Seconds after which a waiting task checks by itself whether a connection is free. A connection is also free when the
code that used it was cancelled, forgot to give it back, and was collected as garbage."""


class WaitingPool(ConnectionPool):
    """At most `max_connections` exist at a time; they are opened when they are needed and stay open."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._in_use_connections = WeakSet[Any]()  # type: ignore[assignment]
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def get_connection(self, command_name: object = None, *keys: object, **options: object) -> Any:
        """A connected connection. Raises `redis.ConnectionError` after `WAIT_S` seconds without a free one."""
        if self._waiting or not self.can_get_connection():
            await self._wait_for_free_connection()
        connection = self.get_available_connection()  # type: ignore[no-untyped-call]
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Gives a connection back. It never waits, so a cancellation cannot interrupt it."""
        self._in_use_connections.remove(connection)
        self._available_connections.append(connection)
        self._wake_next()

    async def _wait_for_free_connection(self) -> None:
        loop = asyncio.get_running_loop()
        deadline, is_first_turn = loop.time() + WAIT_S, True
        while is_first_turn or not self.can_get_connection():
            if loop.time() >= deadline:
                raise ConnectionError(f"all {self.max_connections} connections were in use for {WAIT_S:g} s")
            turn = loop.create_future()
            self._waiting.append(turn) if is_first_turn else self._waiting.appendleft(turn)
            is_first_turn = False
            try:
                await asyncio.wait({turn}, timeout=_RECHECK_S)
            except asyncio.CancelledError:
                if turn.done():  # the next one gets the connection
                    self._wake_next()
                raise
            finally:
                if not turn.done():
                    self._waiting.remove(turn)

    def _wake_next(self) -> None:
        if self._waiting:
            self._waiting.popleft().set_result(None)
