"""Enqueues jobs of the project's arq application, in graphs and in the host app:

    import slipway.arq

    async def notify(state):
        await slipway.arq.pool().enqueue_job("send_mail", state["address"])

A node that is a plain function runs in a thread, where nothing can be awaited; it calls `enqueue_job_sync`.
"""

from __future__ import annotations

from typing import Any

from arq.connections import ArqRedis
from arq.jobs import Job

from slipway.arq_jobs.current_pool import current_pool
from slipway.asyncio_bridge import run_from_thread

__all__ = ["enqueue_job_sync", "pool"]


def pool() -> ArqRedis:
    """arq's client with the queue and the serializers of `slipway.arq` in langgraph.json, for all code that runs on the
    event loop of a web process or worker. Its few connections are shared and stay open: closing it does nothing. Its
    commands wait while all connections are in use, and raise `redis.ConnectionError` after 30 s.

    Raises `slipway.errors.ConfigError` if langgraph.json names no arq application, and `RuntimeError` outside a web
    process or worker, also while a module is imported."""
    redis, _ = current_pool()
    return redis


def enqueue_job_sync(function: str, *args: Any, **kwargs: Any) -> Job | None:
    """Enqueues a job from a thread, such as in a node that is a plain function, and blocks the thread until Redis has
    stored it. Takes the arguments of `arq.ArqRedis.enqueue_job`. Returns None if the id of the job is in use.

    Raises like `pool`, and `RuntimeError` if the calling thread runs an event loop."""
    redis, loop = current_pool()
    return run_from_thread(
        loop,
        lambda: redis.enqueue_job(function, *args, **kwargs),
        "enqueue_job_sync blocks, and this thread runs an event loop: use await slipway.arq.pool().enqueue_job(...)",
    )
