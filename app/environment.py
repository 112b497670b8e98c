"""The `env` of langgraph.json: variables that graphs want, set before any of them is imported.

`env` is the path of a dotenv file (from langgraph.json's folder) or a mapping of names to values. A variable that is
set already wins, so a deployment can override what the file says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import orjson
from dotenv import dotenv_values

from app.errors import ConfigError


def apply_graph_environment(config: Path) -> list[str]:
    """Set what `config` (langgraph.json) names, and return the names that were set; a missing dotenv file sets none.

    Raises `ConfigError` when `env` is neither a path nor a mapping. A missing or broken langgraph.json is the
    registry's to report."""
    wanted = _declared(config)
    names = [name for name in wanted if name not in os.environ]
    os.environ.update({name: wanted[name] for name in names})
    return names


def _declared(config: Path) -> Mapping[str, str]:
    try:
        document = orjson.loads(config.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    env = document.get("env") if isinstance(document, dict) else None
    if env is None:
        return {}
    if isinstance(env, str):
        return {name: value for name, value in dotenv_values(config.parent / env).items() if value is not None}
    if isinstance(env, dict) and all(isinstance(value, str) for value in env.values()):
        return env
    raise ConfigError(f"{config}: `env` must be the path of a dotenv file or a mapping of names to texts")
