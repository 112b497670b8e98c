"""What each checkpointer needs. It is checked before a process starts, and without importing a checkpointer: the
command line and the supervisor must not import LangGraph."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Final, Literal

from slipway.errors import ConfigError
from slipway.redis.connection import Address
from slipway.redis.pipeline import Pipeline
from slipway.redis.server_modules import require_modules
from slipway.settings import Settings

CheckpointerName = Literal["core", "langgraph-redis"]

PACKAGES: Final[Mapping[CheckpointerName, tuple[str, ...]]] = {
    "core": (),
    "langgraph-redis": ("langgraph-checkpoint-redis", "redisvl"),
}
"""The packages behind each checkpointer."""

NO_PACKAGE: Final = (
    "SLIPWAY_CHECKPOINTER=langgraph-redis needs the extra `langgraph-redis` (pip install '.[langgraph-redis]')"
)
_TIMEOUT_S: Final = 10.0


async def check(settings: Settings, url: str) -> None:
    """Raises `ConfigError` when the chosen checkpointer's package, or a module of the server at `url`, is missing.
    Opens one connection. Raises `StoreUnavailable`."""
    if settings.checkpointer == "core":
        return
    if importlib.util.find_spec("langgraph.checkpoint.redis") is None:
        raise ConfigError(NO_PACKAGE)
    pipeline = Pipeline(Address(url), "slipway check", patience_s=_TIMEOUT_S)
    await pipeline.open()
    try:
        await require_modules(pipeline)
    finally:
        await pipeline.close()
