"""LangGraph's environment variable for the default recursion limit.

LangGraph itself reads the variable when it is imported, before Slipway has read the `env` of langgraph.json. This
module reads it later, so a value in `env` counts as well.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from slipway.errors import ConfigError

VARIABLE: Final = "LANGGRAPH_DEFAULT_RECURSION_LIMIT"
BUILT_IN_LIMIT: Final = 10007


def default_recursion_limit(environment: Mapping[str, str] | None = None) -> int:
    """Supersteps that a graph may take if nothing else limits it. `environment` replaces the environment of the
    process. Raises `ConfigError` for a value that is not a positive whole number."""
    text = (os.environ if environment is None else environment).get(VARIABLE, "").strip()
    if not text:
        return BUILT_IN_LIMIT
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ConfigError(f"{VARIABLE}: must be a whole number, 1 or more")
    return int(text)
