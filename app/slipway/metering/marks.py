"""Marks of calls that the gateway of tools counts: in the metadata of LangChain's callbacks, and on functions."""

from __future__ import annotations

from typing import Final

from slipway.graphs.function_marks import FUNCTION_MARK

TOOL_MARK: Final = "slipway_tool"
"""The key of the mark in the metadata of a tool."""


class _Mark(str):
    """A text that only counts if it is this very object, because metadata may come from a client. It is a text because
    metadata is streamed as JSON."""

    __slots__ = ()


COUNTED_BY_GATEWAY: Final = _Mark("counted by the gateway")
"""The call is counted by the gateway of tools, and not by the callback handler."""


def calls_marked_function(tool: object) -> bool:
    """Whether a LangChain tool was made of such a function, perhaps by a node a moment ago."""
    return any(hasattr(getattr(tool, name, None), FUNCTION_MARK) for name in ("func", "coroutine"))
