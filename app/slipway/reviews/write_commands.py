"""The commands of reviews that change a key and need no script."""

from __future__ import annotations

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline


async def forget_ready_run(pipeline: Pipeline, keys: Keys, run_id: str) -> None:
    """Removes a run that waits no more from the list of those that are to be resumed."""
    await pipeline.send("ZREM", keys.reviews_ready, run_id, repeatable=True)
