"""Why a run failed, in the three forms that are kept: the record's, the thread's and the client's.

Clients see an exception's own text only for classes that are written for people to read; of any other they get one
fixed sentence, so that internals do not leak (protocol 3.7). The record, as it is stored, has the whole text, the code,
the node and the attempt beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog
from langgraph import errors as langgraph_errors
from langgraph import pregel
from langgraph.errors import (
    EmptyInputError,
    GraphRecursionError,
    InvalidUpdateError,
)
from pydantic import ValidationError

from slipway import errors
from slipway.errors import CeilingHit, InputRefused, NodeFailed, RunFailure, SlipwayError
from slipway.exception_text import LONGEST_TEXT, class_name, exception_being_handled, is_a, message_of, traceback_of
from slipway.execution.contained_errors import GraphRaised
from slipway.runs.settlement import RunError
from slipway.serialization.json_encoding import dumps
from slipway.shown_exceptions import HIDDEN, SHOWN, public_text

log = structlog.get_logger(__name__)

_INPUT_ERRORS: Final = (ValidationError, InvalidUpdateError, EmptyInputError)
_LANGGRAPH: Final = str(Path(pregel.__file__).parent)
_OURS: Final = tuple(
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SlipwayError)
)
_REFUSED_ANSWER: Final[tuple[type, ...]] = tuple(
    kind for kind in (getattr(langgraph_errors, "UnknownInterruptError", None),) if kind is not None
)
"""What LangGraph raises for an answer that strict resuming refuses; not every release of it has the class."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure. `error` is the class name that clients see; `refusal` is there when an answer was refused: why, the
    interrupts that it named, and those that still wait."""

    code: str
    error: str
    message: str
    public_message: str
    node: str | None
    retryable: bool
    limits: dict[str, Any]
    refusal: dict[str, Any] = field(default_factory=dict)

    def run_error(self, attempt: int) -> RunError:
        """The texts that a script stores when the run ends."""
        return RunError(self.code, dumps(self.record(attempt)).decode(), dumps(self.public()).decode())

    def record(self, attempt: int) -> dict[str, Any]:
        """As `run.error`; `Run.shown_error` is what clients see of it."""
        return (
            {
                "error": self.error,
                "message": self.message,
                "code": self.code,
                "node": self.node,
                "attempt": attempt,
                "retryable": self.retryable,
            }
            | self._apart()
            | self.limits
        )

    def _apart(self) -> dict[str, Any]:
        """What clients see in place of the message, where that is another text."""
        return {} if self.public_message == self.message else {"shown": self.public_message}

    def public(self) -> dict[str, Any]:
        """As clients see it: thread error, `error` event, `__error__`."""
        return {"error": self.error, "message": self.public_message} | self.refusal


def failure_of(
    error: BaseException, *, ceiling_hit: CeilingHit | None, node: str | None, node_completed: bool
) -> Failure:
    """The failure that `error` stands for. `ceiling_hit` is the ceiling behind it, if there is one; `node_completed`
    says that a node had finished before, so the input is not the cause. Never raises, whatever class `error` has."""
    error = _original_error(error)
    try:
        return _failure(error, ceiling_hit, node, node_completed)
    except Exception as problem:
        log.error("failure.not_described", exception=traceback_of(problem))
        return Failure(NodeFailed.code, class_name(error), HIDDEN, HIDDEN, node, False, {})


def _failure(error: BaseException, ceiling_hit: CeilingHit | None, node: str | None, node_completed: bool) -> Failure:
    if isinstance(ours := _as_slipway_error(error), CeilingHit):
        ceiling_hit = ceiling_hit or ours
    if ceiling_hit is not None:
        return _ceiling(ceiling_hit, error, node)
    if is_a(error, GraphRecursionError):
        return _of("ceiling.steps", error, None, retryable=False)
    if is_a(error, _INPUT_ERRORS) and not node_completed:
        return _input(error)
    if isinstance(ours, RunFailure):
        return _of(ours.code, error, ours.node or node, retryable=ours.retryable)
    if ours is not None:
        return _of(ours.code, error, node, retryable=ours.retryable)
    return _of(NodeFailed.code, error, node, retryable=False)


def shown_error(error: BaseException) -> dict[str, str]:
    """An exception as clients see it."""
    error = _original_error(error)
    return {"error": class_name(error), "message": public_text(error)}


def _original_error(error: BaseException) -> BaseException:
    """What the graph raised, if `error` stands for it: an exception that cannot leave a task, or that raised another
    when LangGraph noted on it where it came from."""
    if type(error) is GraphRaised:
        return error.raised
    handled = exception_being_handled(error, _LANGGRAPH)
    return error if handled is None else _original_error(handled)


def _as_slipway_error(error: BaseException) -> SlipwayError | None:
    """An error of Slipway's own. A graph may derive a class from one: such an error is the graph's."""
    return error if any(type(error) is kind for kind in _OURS) and isinstance(error, SlipwayError) else None


def _of(code: str, error: BaseException, node: str | None, *, retryable: bool) -> Failure:
    message, refusal = message_of(error), _refusal(error)
    shown = message if refusal else public_text(error)
    return Failure(code, class_name(error), message, shown, node, retryable, {}, refusal)


def _refusal(error: BaseException) -> dict[str, Any]:
    """What LangGraph says of an answer that strict resuming refused."""
    if not any(type(error) is kind for kind in _REFUSED_ANSWER):
        return {}
    named, waiting = getattr(error, "interrupt_ids", ()), getattr(error, "pending_ids", ())
    return {"reason": getattr(error, "reason", ""), "interrupt_ids": list(named), "pending_ids": list(waiting)}


def _ceiling(hit: CeilingHit, error: BaseException, node: str | None) -> Failure:
    message = shown = str(hit)
    if hit.ceiling == "retries":
        last = f"; the last failure was {class_name(error)}"
        message += f"{last}: {message_of(error)}"
        shown += f"{last}: {message_of(error)}" if is_a(error, SHOWN) else last
    limits = {"limit": hit.limit, "used": hit.used}
    # clients know the protocol's name for too many supersteps
    name = GraphRecursionError.__name__ if hit.ceiling == "steps" else "CeilingHit"
    return Failure(hit.full_code, name, message, shown, hit.node or node, False, limits)


def _input(error: BaseException) -> Failure:
    message = _problems(error) if type(error) is ValidationError else message_of(error)
    if is_a(error, EmptyInputError) and message == EmptyInputError.__name__:
        message = "the input is empty"
    return Failure(InputRefused.code, class_name(error), message, message, None, False, {})


def _problems(error: ValidationError) -> str:
    """What is wrong with each field. A validator of the graph's may have raised something that cannot be described."""
    try:
        problems = [f"{'.'.join(map(str, p['loc'])) or 'input'}: {p['msg']}" for p in error.errors(include_url=False)]
    except Exception:
        return message_of(error)
    text = "; ".join(problems)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
