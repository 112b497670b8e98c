"""The start of every process: reads langgraph.json and the settings, and configures the logs.

Of the `env` in langgraph.json, only variables named `SLIPWAY_…` configure Slipway, and the environment of the process
takes precedence. Only processes that load graphs set the variables of `env` (`slipway.graphs.loading`). If a supervisor
set them, its children would take the project's own `REDIS_URL` for the address that the platform has set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import structlog
from pydantic import SecretStr

from slipway.graphs.langgraph_json import read
from slipway.logs.configuration import configure
from slipway.processes.embedded_valkey import socket_path
from slipway.redis import connection_budget
from slipway.settings import Settings, config_file

log = structlog.get_logger(__name__)

_NEED_AN_ADDRESS: Final = frozenset({"dev", "web", "worker", "release"})
"""Processes that never use the server of `slipway dev` by accident."""


def load_settings_and_logs(process: str, config: Path | None = None, **given: Any) -> Settings:
    """Returns the settings of this process and configures its logs. `given` are the options of the command line; None
    if an option is not set. A command that only reads or changes records may find the address of Redis in the data
    directory of `slipway dev`. Raises `ConfigError`."""
    configure(Settings(), process)
    settings = _settings_of_records(config, **given) if process not in _NEED_AN_ADDRESS else None
    settings = settings or load_settings(config, **given)
    connection_budget.check(settings, process)
    configure(settings, process)
    return settings if process in _NEED_AN_ADDRESS else _with_server_of_dev(settings)


def _settings_of_records(config: Path | None, **given: Any) -> Settings | None:
    """The settings of a command in a folder without langgraph.json, in which `slipway dev --config` was started: what
    does not need the project needs only its server. None elsewhere."""
    if config is not None or config_file() != Path(Settings.model_fields["config"].default) or config_file().exists():
        return None
    settings = Settings.load(project={}, config=config_file(), **given)
    return settings if socket_path(settings.data_dir.resolve()).exists() else None


def _with_server_of_dev(settings: Settings) -> Settings:
    """A command without an address of Redis uses the server that `slipway dev` has started in the same folder."""
    socket = socket_path(settings.data_dir.resolve())
    if settings.redis_url is not None or not socket.exists():
        return settings
    log.info("redis.server_of_dev", address=f"unix://{socket}")
    return settings.model_copy(update={"redis_url": SecretStr(f"unix://{socket}")})


def load_settings(config: Path | None = None, **given: Any) -> Settings:
    """Like `load_settings_and_logs`, for a program that does not log as a process of Slipway."""
    path = config or config_file()
    return Settings.load(project=read(path).env, config=path, **given)
