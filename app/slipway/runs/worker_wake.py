"""How idle workers wait for jobs: scripts put a token in a list for each job that is due, and a worker pops one."""

from __future__ import annotations

import asyncio
from typing import Any

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline


class WorkerWake:
    """On one pipeline. Both methods only send: the reply arrives later."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline, self._key = pipeline, keys.worker_wake
        self.queue_name = keys.queue
        """The key of the due jobs, which arq asks for."""

    def wait(self, timeout_s: float) -> asyncio.Future[Any]:
        """Pops a token. Commands that are sent after it on the same pipeline are executed when a token was popped, or
        after `timeout_s`."""
        return self._pipeline.send("BLPOP", self._key, timeout_s)

    def wake_one(self) -> asyncio.Future[Any]:
        """Adds a token: one waiting worker looks for jobs."""
        return self._pipeline.send("RPUSH", self._key, "1")
