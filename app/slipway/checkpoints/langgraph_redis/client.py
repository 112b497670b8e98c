"""A `redis-py` client without a connection of its own: it sends its commands through a `Pipeline`.

`langgraph-checkpoint-redis` and its search library need such a client. A connection pool would exceed the process's
connection budget, would not wait while Redis is unavailable, and would not share round trips.
"""

from __future__ import annotations

from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from slipway.redis.pipeline import Pipeline


class PipelineClient(Redis):
    """Sends single commands. A method that would open a connection raises `NotImplementedError`."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self._pipeline = pipeline

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """The parsed reply. Raises redis-py's `ResponseError`, and `StoreUnavailable`."""
        try:
            reply = await self._pipeline.send(*(_argument(arg) for arg in args), repeatable=True)
        except hiredis.ReplyError as error:
            raise ResponseError(str(error)) from error
        parse = self.response_callbacks.get(args[0])
        return reply if parse is None else parse(reply, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Any:
        """Not supported: it would open a connection."""
        raise NotImplementedError

    def pubsub(self, **kwargs: Any) -> Any:
        """Not supported: it would open a connection."""
        raise NotImplementedError


def _argument(value: Any) -> Any:
    return value if isinstance(value, str | bytes | int | float) else str(value)
