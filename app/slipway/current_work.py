"""What the current asyncio task works for: a request, a run.

The fields are those that log lines have for it. A task that is created inherits them, so they are also known in the
tasks that a graph or an app creates.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

CURRENT_WORK: Final[ContextVar[Mapping[str, str | int]]] = ContextVar("current_work", default=MappingProxyType({}))
"""Empty for tasks of the process itself, such as its duties."""
