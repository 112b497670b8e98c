"""How many connections to Redis a process holds: few, always the same ones, and never one more for a request.

Plans count connections, so every process has a budget (`redis_max_connections`) and is refused at its start when that
is less than it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from slipway.errors import ConfigError
from slipway.settings import Settings

NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "web": ("commands", "messages", "heartbeat"),
    "worker": ("commands", "messages", "heartbeat", "wake-up"),
    "cli": ("commands", "messages"),
    "release": ("commands",),
    "doctor": ("commands",),
    "migrate": ("commands",),
}
"""What a process opens connections for. `slipway dev` opens one, now and then, beside those of the processes it keeps:
they are what its settings have to allow."""


def needed(process: str) -> int:
    """How many connections a process of this name holds; 0 for one that holds none."""
    if process == "dev":
        return max(needed("web"), needed("worker"))
    return len(NEEDED.get(process, ()))


def check(settings: Settings, process: str) -> None:
    """Raise `ConfigError` when the budget is less than the process needs."""
    if (most := settings.redis_max_connections) >= needed(process):
        return
    kind = "worker" if process == "dev" else process
    raise ConfigError(
        f"SLIPWAY_REDIS_MAX_CONNECTIONS ({most}) is less than a {kind} process needs: {needed(process)}, "
        f"for {', '.join(NEEDED[kind])}"
    )
