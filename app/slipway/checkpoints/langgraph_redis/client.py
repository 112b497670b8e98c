"""A `redis-py` client without a connection of its own: what it is told goes out on a `Pipeline`.

`langgraph-checkpoint-redis` and its search library want such a client. A pool would open connections beyond the
process's budget, and would neither wait for a Redis that is away nor share round trips.
"""

from __future__ import annotations

from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from slipway.redis.pipeline import Pipeline


class PipelineClient(Redis):
    """For single commands. What would open a connection is refused."""

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
        """Not here: it would connect."""
        raise NotImplementedError

    def pubsub(self, **kwargs: Any) -> Any:
        """Not here: it would connect."""
        raise NotImplementedError


def _argument(value: Any) -> Any:
    return value if isinstance(value, str | bytes | int | float) else str(value)
