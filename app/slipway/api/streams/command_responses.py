"""The responses to event commands, over HTTP and over a WebSocket."""

from __future__ import annotations

from typing import Any


class CommandError(Exception):
    """Raised by a command that fails. The client receives a response with `code`, an error code of the protocol."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def command_response(command_id: int, result: dict[str, Any], applied_through: int) -> dict[str, Any]:
    """`applied_through` is the number up to which the events of the thread were applied before the command."""
    return {"type": "success", "id": command_id, "result": result, "meta": {"applied_through_seq": applied_through}}


def command_error_response(command_id: int | None, code: str, message: str) -> dict[str, Any]:
    """`command_id` is None for a malformed command, and for an error of the whole stream."""
    return {"type": "error", "id": command_id, "error": code, "message": message}
