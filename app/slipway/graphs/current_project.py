"""The project whose code is imported, for functions that this code calls while it is imported."""

from __future__ import annotations

from typing import Final

from slipway.errors import ConfigError
from slipway.graphs.langgraph_json import LangGraphJson

_PROJECTS: Final[list[LangGraphJson]] = []
"""Those that this process has loaded, the newest last: one, except in tests."""


def set_current_project(config: LangGraphJson) -> None:
    """Called before the code of the project is imported."""
    _PROJECTS.append(config)


def current_project(function: str) -> LangGraphJson:
    """Raises `ConfigError` if Slipway has loaded none; the message names the `function` that needs it."""
    if not _PROJECTS:
        raise ConfigError(f"{function} was called outside of a project: no langgraph.json has been loaded by Slipway")
    return _PROJECTS[-1]
