"""Why runs are cancelled: the cause, which is a sentence that Slipway writes, and the reason, which is the client's
text.

The record stores both (`cancel_cause`, `cancel_reason`). Causes that only a script can determine, such as a newer run
of the thread, are written in `redis/lua/lib/cancel_causes.lua`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final


class Action(StrEnum):
    """The cancel action: `INTERRUPT` keeps the run and its checkpoints, `ROLLBACK` deletes both."""

    INTERRUPT = "interrupt"
    ROLLBACK = "rollback"


BY_API: Final = "cancelled through the API"
UNDECIDED_IN_TIME: Final = "nobody decided its review in time"
BY_DISCONNECT: Final = "the client disconnected (cancel on disconnect)"


def by_operator(actor: str) -> str:
    return f"cancelled by {actor}"


def by_deleted_assistant(assistant_id: str) -> str:
    return f"assistant {assistant_id} was deleted"


def cancel_error(cause: str | None, reason: str | None, *, action: Action) -> dict[str, Any]:
    """The error of a cancelled run that clients receive. Its class names are those of the reference server.
    `run_settle.lua` writes the same `error` and `message` to the thread."""
    name = "UserRollback" if action is Action.ROLLBACK else "UserInterrupt"
    message = ": ".join(part for part in (cause, reason) if part) or "cancelled"
    return {"error": name, "message": message, "code": "cancelled", "retryable": False}
