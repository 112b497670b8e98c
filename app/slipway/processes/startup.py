"""How every process begins: where the graphs are, then the settings, then the logs.

The `env` of langgraph.json configures Slipway by its `SLIPWAY_…` names alone; the environment of the process comes
first. All of it is set where graphs are loaded (`slipway.graphs.loading`), and nowhere else: a supervisor whose
children inherited it could not tell the project's `REDIS_URL` from the platform's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slipway import logs
from slipway.graphs.langgraph_json import read
from slipway.redis import connection_budget
from slipway.settings import Settings, config_file


def load_settings_and_logs(process: str, config: Path | None = None, **given: Any) -> Settings:
    """The settings of this process, its logs configured. `given` is the command line's, None where it is silent.

    Raises `ConfigError`.
    """
    logs.configure(Settings(), process)
    path = config or config_file()
    settings = Settings.load(project=read(path).env, config=path, **given)
    connection_budget.check(settings, process)
    logs.configure(settings, process)
    return settings
