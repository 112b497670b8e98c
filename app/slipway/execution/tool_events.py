"""The stream mode `tools`: LangGraph's chunks of tool calls, with the names that clients expect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_EVENT_NAMES: Final[Mapping[str, tuple[str, str, str]]] = {
    "tool-started": ("on_tool_start", "input", "input"),
    "tool-output-delta": ("on_tool_event", "delta", "data"),
    "tool-finished": ("on_tool_end", "output", "output"),
    "tool-error": ("on_tool_error", "message", "error"),
}
"""By LangGraph's event name: the client's event name, and the names that LangGraph and the client have for the member
with the content."""


class ToolEvents:
    """Encodes the tool events of one run. Each event contains the name of the tool, which LangGraph sends only when the
    call starts."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def encode(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        event, langgraph_name, client_name = _EVENT_NAMES[payload["event"]]
        call = payload["tool_call_id"]
        if event == "on_tool_start":
            self._names[call] = payload["tool_name"]
        name = self._names.get(call, "") if event in ("on_tool_start", "on_tool_event") else self._names.pop(call, "")
        return {"event": event, "toolCallId": call, "name": name, client_name: payload.get(langgraph_name)}
