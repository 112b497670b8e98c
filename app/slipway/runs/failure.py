"""The failure of a run, as it is stored and as clients receive it. All such errors are built here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from slipway.serialization.json_encoding import dumps


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run failed. Both texts are JSON."""

    code: str
    record: str
    """Stored as the error of the run."""
    public: str
    """What clients receive in the event `error`, in the member `__error__` of the result, and in the thread's error."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run failed."""

    code: str
    error: str
    """The class name that clients receive."""
    message: str
    """The complete text, for the record."""
    public_message: str
    """The text that clients receive."""
    node: str | None
    retryable: bool
    limits: dict[str, Any]
    """`limit` and `used` of the ceiling that was hit."""
    rejected_answer: dict[str, Any] = field(default_factory=dict)
    """Set if an answer to interrupts was rejected: the reason, the interrupts that it named, and the open ones."""

    def run_error(self, attempt: int) -> RunError:
        """The texts that a script stores when the run ends."""
        return RunError(self.code, dumps(self.record(attempt)).decode(), dumps(self.public()).decode())

    def record(self, attempt: int) -> dict[str, Any]:
        """The error of the run record. `Run.public_error` is the part that clients receive."""
        return (
            {
                "error": self.error,
                "message": self.message,
                "code": self.code,
                "node": self.node,
                "attempt": attempt,
                "retryable": self.retryable,
            }
            | self._public_text()
            | self.limits
        )

    def _public_text(self) -> dict[str, Any]:
        """The member `shown`: the text for clients, if it differs from the message. Else empty."""
        return {} if self.public_message == self.message else {"shown": self.public_message}

    def public(self) -> dict[str, Any]:
        """What clients receive in the event `error`, in the member `__error__` of results, and in the thread's
        error."""
        return {"error": self.error, "message": self.public_message} | self.rejected_answer


ATTEMPTS_USED_UP: Final = Failure(
    "ceiling.attempts", "CeilingHit", *("every attempt died: %d of %d",) * 2, node=None, retryable=False, limits={}
)
"""A run whose workers died in all of its attempts. The script that reclaims such runs fills in the numbers."""
