"""Why a run failed, in the three forms that are kept: the record's, the thread's and the client's.

Clients see an exception's own text only for classes that are written for people to read; of any other they get one
fixed sentence, so that internals do not leak (protocol 3.7). The record, which operators read, has the code, the
node and the attempt beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from langgraph.errors import (
    EmptyInputError,
    GraphBubbleUp,
    GraphRecursionError,
    InvalidUpdateError,
    TaskNotFound,
)
from pydantic import ValidationError

from app.errors import CeilingHit, InputRefused, NodeFailed, RunFailure, SlipwayError

SHOWN: Final = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RuntimeError,
    TimeoutError,
    InvalidUpdateError,
    GraphBubbleUp,
    EmptyInputError,
    TaskNotFound,
    SlipwayError,
)
HIDDEN: Final = "An internal error occurred. The run's record and the worker's log have the details."
_INPUT_ERRORS: Final = (ValidationError, InvalidUpdateError, EmptyInputError)


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure. `error` is the class name that clients see; `refusal` is there when an answer was refused: why, the
    interrupts that it named, and those that still wait."""

    code: str
    error: str
    message: str
    shown: str
    node: str | None
    retryable: bool
    limits: dict[str, Any]
    refusal: dict[str, Any] = field(default_factory=dict)

    def record(self, attempt: int) -> dict[str, Any]:
        """As `run.error`."""
        return {
            "error": self.error,
            "message": self.message,
            "code": self.code,
            "node": self.node,
            "attempt": attempt,
            "retryable": self.retryable,
        } | self.limits

    def public(self) -> dict[str, Any]:
        """As clients see it: thread error, `error` event, `__error__`."""
        return {"error": self.error, "message": self.shown} | self.refusal


def failure_of(error: BaseException, *, tripped: CeilingHit | None, node: str | None, began: bool) -> Failure:
    """The failure that `error` stands for. `tripped` is the ceiling behind it, if there is one; `began` says that a
    node had already finished, so that the input cannot be to blame."""
    if isinstance(error, CeilingHit):
        tripped = tripped or error
    if tripped is not None:
        return _ceiling(tripped, error, node)
    if isinstance(error, GraphRecursionError):
        return _of("ceiling.steps", error, None, retryable=False)
    if isinstance(error, _INPUT_ERRORS) and not began:
        return _input(error)
    if isinstance(error, RunFailure):
        return _of(error.code, error, error.node or node, retryable=error.retryable)
    if isinstance(error, SlipwayError):
        return _of(error.code, error, node, retryable=error.retryable)
    return _of(NodeFailed.code, error, node, retryable=False)


def public_text(error: BaseException) -> str:
    """What clients may read of an exception."""
    return _message(error) if isinstance(error, SHOWN) else HIDDEN


def _message(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _of(code: str, error: BaseException, node: str | None, *, retryable: bool) -> Failure:
    message, refusal = _message(error), _refusal(error)
    shown = message if refusal else public_text(error)
    return Failure(code, type(error).__name__, message, shown, node, retryable, {}, refusal)


def _refusal(error: BaseException) -> dict[str, Any]:
    """What LangGraph says of an answer that strict resuming refused; not every release of it has the class."""
    if type(error).__name__ != "UnknownInterruptError" or not hasattr(error, "pending_ids"):
        return {}
    named, waiting = getattr(error, "interrupt_ids", ()), error.pending_ids
    return {"reason": getattr(error, "reason", ""), "interrupt_ids": list(named), "pending_ids": list(waiting)}


def _ceiling(hit: CeilingHit, error: BaseException, node: str | None) -> Failure:
    message = shown = str(hit)
    if hit.ceiling == "retries":
        last = f"; the last failure was {type(error).__name__}"
        message += f"{last}: {error}"
        shown += f"{last}: {error}" if isinstance(error, SHOWN) else last
    limits = {"limit": hit.limit, "used": hit.used}
    # clients know the protocol's name for too many supersteps
    name = GraphRecursionError.__name__ if hit.ceiling == "steps" else "CeilingHit"
    return Failure(hit.full_code, name, message, shown, hit.node or node, False, limits)


def _input(error: BaseException) -> Failure:
    message = str(error) or "the input is empty"
    if isinstance(error, ValidationError):
        problems = (f"{'.'.join(map(str, p['loc'])) or 'input'}: {p['msg']}" for p in error.errors())
        message = "; ".join(problems)
    return Failure(InputRefused.code, type(error).__name__, message, message, None, False, {})
