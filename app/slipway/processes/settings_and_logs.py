"""The start of every process: reads langgraph.json and the settings, and configures the logs.

Of the `env` in langgraph.json only the `SLIPWAY_…` names configure Slipway, and the environment of the process wins.
The variables are set in the processes that load graphs (`slipway.graphs.loading`) and nowhere else: a supervisor that
set them would pass the project's own `REDIS_URL` to its children as if it were the platform's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slipway import logs
from slipway.graphs.langgraph_json import read
from slipway.redis import connection_budget
from slipway.settings import Settings, config_file


def load_settings_and_logs(process: str, config: Path | None = None, **given: Any) -> Settings:
    """Returns the settings of this process and configures its logs. `given` are the options of the command line, None
    for those that are not set. Raises `ConfigError`."""
    logs.configure(Settings(), process)
    path = config or config_file()
    settings = Settings.load(project=read(path).env, config=path, **given)
    connection_budget.check(settings, process)
    logs.configure(settings, process)
    return settings
