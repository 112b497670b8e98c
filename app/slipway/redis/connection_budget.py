"""How many connections to Redis a process opens. The number is fixed: no request opens another one. The one for
synchronous calls is opened by the first of them. A project with an
arq application adds `arq_connections`, which are opened when they are needed. If the budget permits one more, it is
open while a process sends commands of more than 256 KiB (`redis/server_pipeline.py`). If it permits another one, that
is opened by the first run with durability `replicated` (`redis/replicated_pipeline.py`).

Managed plans limit connections, so every process has a budget (`redis_max_connections`). A process that needs more does
not start. On a cluster the numbers are those of the connections to each primary, and one more is open for a moment
while a process reads which server has which slots.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from slipway.errors import ConfigError
from slipway.settings import Settings

NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "web": ("commands", "messages", "heartbeat", "synchronous calls"),
    "worker": ("commands", "messages", "heartbeat", "claims", "synchronous calls"),
    "cli": ("commands", "messages"),
    "release": ("commands",),
    "doctor": ("commands",),
    "migrate": ("commands",),
}
"""The purpose of each connection, by process. `slipway dev` opens one for short times; its settings must allow those of
the processes that it starts."""


def needed(process: str) -> int:
    """The number of connections that a process opens, to each server; 0 for other names."""
    if process == "dev":
        return max(needed("web"), needed("worker"))
    return len(NEEDED.get(process, ()))


def permits_large_commands(settings: Settings, process: str, arq_connections: int = 0) -> bool:
    """Whether the budget has one more connection, for large commands."""
    return settings.redis_max_connections > needed(process) + arq_connections


def permits_replicated_runs(settings: Settings, arq_connections: int = 0) -> bool:
    """Whether the budget has one more connection beside the one for large commands, for runs with durability
    `replicated`. The answer is the same in web processes and workers: a worker must be able to execute what a web
    process has created."""
    return settings.redis_max_connections > needed("dev") + arq_connections + 1


def no_replicated_runs(settings: Settings, arq_connections: int = 0) -> str:
    """Why there is no connection for them."""
    return (
        f"SLIPWAY_REDIS_MAX_CONNECTIONS ({settings.redis_max_connections}) leaves no connection for runs with "
        f"durability replicated: set it to {needed('dev') + arq_connections + 2} or more"
    )


def check(settings: Settings, process: str, arq_connections: int = 0) -> None:
    """Raises `ConfigError` if the budget is less than the process needs. `arq_connections` is the number that it opens
    for the project's arq application."""
    if (most := settings.redis_max_connections) >= needed(process) + arq_connections:
        return
    kind = "worker" if process == "dev" else process
    for_arq = f" and for slipway.arq ({arq_connections})" if arq_connections else ""
    raise ConfigError(
        f"SLIPWAY_REDIS_MAX_CONNECTIONS ({most}) is less than a {kind} process needs: "
        f"{needed(process) + arq_connections}, for {', '.join(NEEDED[kind])}{for_arq}"
    )
