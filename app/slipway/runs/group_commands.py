"""Commands on run records that attempts send in their write groups, so that they are fenced and atomic with events."""

from __future__ import annotations

from slipway.redis.commands import Command
from slipway.redis.keys import Keys


def set_usage(keys: Keys, run_id: str, usage: str) -> Command:
    """Stores what the chain has used so far, as JSON: a later attempt continues to count from it."""
    return "HSET", keys.run(run_id), "usage", usage


def clear_suspect(keys: Keys, run_id: str) -> list[Command]:
    """The run is not a crash suspect any more."""
    return [("HDEL", keys.run(run_id), "suspect", "died"), ("SREM", keys.on_trial, run_id)]
