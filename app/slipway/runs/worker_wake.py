"""Wakes idle workers. Scripts push a token to a list for each job that they queue, also for a job that is
not due yet. One idle worker pops the token and tries to claim. The reply says when the next job is due."""

from __future__ import annotations

import asyncio

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline


class WorkerWake:
    """The list of tokens, on one pipeline. Both methods only send a command; the reply arrives later."""

    def __init__(self, pipeline: Pipeline, keys: Keys) -> None:
        self._pipeline, self._key, self._keys = pipeline, keys.worker_wake, keys
        self.queue_name = keys.queue
        """The key of the due jobs, which arq needs."""

    def wait(self, timeout_s: float, group: str = "") -> asyncio.Future[list[bytes] | None]:
        """Waits for a token and pops it: one for any worker, or one for a worker of this group. Commands that are sent
        later on the same pipeline are executed when a token was popped, or after `timeout_s`."""
        keys = (self._key, self._keys.version_wake(group)) if group else (self._key,)
        return self._pipeline.send("BLPOP", *keys, timeout_s)

    def wake_worker(self) -> asyncio.Future[int]:
        """Pushes a token: one idle worker tries to claim jobs."""
        return self._pipeline.send("RPUSH", self._key, "1")
