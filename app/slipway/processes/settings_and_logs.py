"""The start of every process: reads langgraph.json and the settings, and configures the logs.

Of the `env` in langgraph.json, only variables named `SLIPWAY_…` configure Slipway, and the environment of the process
takes precedence. Only processes that load graphs set the variables of `env` (`slipway.graphs.loading`). If a supervisor
set them, its children would take the project's own `REDIS_URL` for the address that the platform has set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slipway import logs
from slipway.graphs.langgraph_json import read
from slipway.redis import connection_budget
from slipway.settings import Settings, config_file


def load_settings_and_logs(process: str, config: Path | None = None, **given: Any) -> Settings:
    """Returns the settings of this process and configures its logs. `given` are the options of the command line; None
    if an option is not set. Raises `ConfigError`."""
    logs.configure(Settings(), process)
    settings = load_settings(config, **given)
    connection_budget.check(settings, process)
    logs.configure(settings, process)
    return settings


def load_settings(config: Path | None = None, **given: Any) -> Settings:
    """Like `load_settings_and_logs`, for a program that does not log as a process of Slipway."""
    path = config or config_file()
    return Settings.load(project=read(path).env, config=path, **given)
