"""Why runs are cancelled: the cause, as a sentence of the server's, and beside it what the client gave as its reason.

The record of a cancelled run holds the cause (`cancel_cause`) and the client's words (`cancel_reason`) if there were
any. Scripts write the causes that only they know: a newer run, a deleted thread.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final


class Action(StrEnum):
    """How to cancel: keep the finished supersteps, or remove the run and its checkpoints."""

    INTERRUPT = "interrupt"
    ROLLBACK = "rollback"


BY_API: Final = "cancelled through the API"
BY_DISCONNECT: Final = "the client disconnected (cancel on disconnect)"


def by_deleted_assistant(assistant_id: str) -> str:
    """The cause of runs whose assistant goes."""
    return f"assistant {assistant_id} was deleted"


def told(cause: str | None, reason: str | None, *, action: Action) -> dict[str, Any]:
    """The error that is shown for a cancelled run, by the class names that clients know. `run_settle.lua` writes the
    same `error` and `message` into the thread."""
    name = "UserRollback" if action is Action.ROLLBACK else "UserInterrupt"
    message = ": ".join(part for part in (cause, reason) if part) or "cancelled"
    return {"error": name, "message": message, "code": "cancelled", "retryable": False}
