"""What each checkpointer needs of Redis. It is checked before a process starts, and without importing a checkpointer:
the command line and the supervisor must not import LangGraph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from slipway.errors import ConfigError
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.server_modules import require_modules
from slipway.settings import Settings

CheckpointerName = Literal["core", "langgraph-redis"]

PACKAGES: Final[Mapping[CheckpointerName, tuple[str, ...]]] = {
    "core": (),
    "langgraph-redis": ("langgraph-checkpoint-redis", "redisvl"),
}
"""The packages behind each checkpointer, whose versions `GET /info` returns."""

_TIMEOUT_S: Final = 10.0


async def check(settings: Settings, url: str) -> None:
    """Raises `ConfigError` when the server at `url` lacks a module that the chosen checkpointer needs, or is a
    cluster that it cannot use. Opens one connection, or none for `core`. Raises `StoreUnavailable`."""
    if settings.checkpointer == "core":
        return
    if Address(url).is_cluster:
        raise ConfigError(
            f"SLIPWAY_CHECKPOINTER={settings.checkpointer} cannot use a cluster, because its indexes are those of one "
            "server: use SLIPWAY_CHECKPOINTER=core"
        )
    pipeline = pipeline_to(Address(url), "slipway check", patience_s=_TIMEOUT_S)
    await pipeline.open()
    try:
        await require_modules(pipeline)
    finally:
        await pipeline.close()
