"""How every process begins: langgraph.json's `env`, then the settings, then the logs.

`env` may name settings (`MODEL`, `LIBRARY_DIR`) as well as what graphs want, so it is applied first; a variable that is
set already wins, so that a deployment can override what the file says.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from app import logs
from app.project.langgraph_json import read
from app.redis import connections
from app.settings import Settings


def prepare(process: str, config: Path | None = None, **given: Any) -> Settings:
    """The settings of this process, its logs configured. `given` is the command line's, None where it is silent.

    Raises `ConfigError`.
    """
    logs.configure(Settings(), process)
    path = config or Settings.load().config
    apply_graph_environment(path)
    settings = Settings.load(config=path, **given)
    connections.check(settings, process)
    logs.configure(settings, process)
    return settings


def apply_graph_environment(config: Path) -> None:
    """Set the variables that langgraph.json names and that are not set yet."""
    for name, value in read(config).env.items():
        os.environ.setdefault(name, value)
