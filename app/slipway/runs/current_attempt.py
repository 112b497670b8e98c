"""The attempt whose graph executes the current code: known to nodes, to the tools that they call, and to threads that
carry the context of a node."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from slipway.runs.attempt_writer import AttemptWriter

CURRENT_ATTEMPT: Final[ContextVar[AttemptWriter | None]] = ContextVar("current_attempt", default=None)
"""None outside of a run, and in a thread that was started without the context of a node."""
