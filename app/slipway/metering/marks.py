"""Marks in the metadata of LangChain's callbacks."""

from __future__ import annotations

from typing import Final

TOOL_MARK: Final = "slipway_tool"
"""The key of the mark in the metadata of a tool."""


class _Mark(str):
    """A text that only counts if it is this very object, because metadata may come from a client. It is a text because
    metadata is streamed as JSON."""

    __slots__ = ()


COUNTED_BY_GATEWAY: Final = _Mark("counted by the gateway")
"""The call is counted by the gateway of tools, and not by the callback handler."""
