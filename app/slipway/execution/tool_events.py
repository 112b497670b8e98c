"""Tool calls in the words of clients: LangGraph's `tools` chunks as the stream mode `tools` tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_EVENT_NAMES: Final[Mapping[str, tuple[str, str, str]]] = {
    "tool-started": ("on_tool_start", "input", "input"),
    "tool-output-delta": ("on_tool_event", "delta", "data"),
    "tool-finished": ("on_tool_end", "output", "output"),
    "tool-error": ("on_tool_error", "message", "error"),
}
"""LangGraph's event -> the client's event, and what it holds: by LangGraph's name and by the client's."""


class ToolEvents:
    """Those of one run. Each tells the tool's name, which LangGraph says at the start of a call only."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def of(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """One chunk."""
        word, theirs, ours = _EVENT_NAMES[payload["event"]]
        call = payload["tool_call_id"]
        if word == "on_tool_start":
            self._names[call] = payload["tool_name"]
        name = self._names.get(call, "") if word in ("on_tool_start", "on_tool_event") else self._names.pop(call, "")
        return {"event": word, "toolCallId": call, "name": name, ours: payload.get(theirs)}
