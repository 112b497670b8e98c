"""The exit codes of Slipway's processes that could not start."""

from __future__ import annotations

from typing import Final

CONFIG: Final = 2
"""The settings, langgraph.json or a file that it names are wrong. Another start would fail in the same way."""

UNAVAILABLE: Final = 75
"""Redis became unavailable during the start. Another start may succeed (EX_TEMPFAIL)."""
