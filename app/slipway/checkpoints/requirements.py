"""Which checkpointer is chosen, and whether it can be had: told before anything starts, and without importing any."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Final, Literal

from slipway.errors import ConfigError
from slipway.redis.connection import Address
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_modules import require_modules
from slipway.settings import Settings

Kind = Literal["core", "langgraph-redis"]

PACKAGES: Final[Mapping[Kind, tuple[str, ...]]] = {
    "core": (),
    "langgraph-redis": ("langgraph-checkpoint-redis", "redisvl"),
}
"""What each is made of beside our own code."""

NO_PACKAGE: Final = (
    "SLIPWAY_CHECKPOINTER=langgraph-redis needs the extra `langgraph-redis` (pip install '.[langgraph-redis]')"
)
_PATIENCE_S: Final = 10.0


async def check(settings: Settings, url: str) -> None:
    """Raise `ConfigError` when the chosen one lacks its package, or what it needs of the server at `url`: asked before
    anything starts, so that it is a line. Opens one connection. Raises `StoreUnavailable`."""
    if settings.checkpointer == "core":
        return
    if importlib.util.find_spec("langgraph.checkpoint.redis") is None:
        raise ConfigError(NO_PACKAGE)
    pipeline = Pipeline(Address(url), "slipway check", patience_s=_PATIENCE_S)
    await pipeline.open()
    try:
        await require_modules(pipeline)
    finally:
        await pipeline.close()
