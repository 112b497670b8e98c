"""Builds the failure of a run from the exception that ended it.

Clients receive the text of an exception only for the classes in `shown_exceptions`. For all other classes they receive
a fixed sentence, because the text may contain internals. The record has the complete text, the code, the node and the
attempt.
"""

from __future__ import annotations

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
from slipway.runs.failure import Failure
from slipway.shown_exceptions import HIDDEN, SHOWN, public_text

log = structlog.get_logger(__name__)

_INPUT_ERRORS: Final = (ValidationError, InvalidUpdateError, EmptyInputError)
_LANGGRAPH: Final = str(Path(pregel.__file__).parent)
_SLIPWAY_ERRORS: Final = tuple(
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SlipwayError)
)
_REJECTED_ANSWER_ERRORS: Final[tuple[type, ...]] = tuple(
    kind for kind in (getattr(langgraph_errors, "UnknownInterruptError", None),) if kind is not None
)
"""The classes that LangGraph raises for an answer that `strict_resume` rejects. Empty for releases that have none."""


def failure_of(
    error: BaseException, *, ceiling_hit: CeilingHit | None, node: str | None, node_completed: bool
) -> Failure:
    """The failure that `error` causes. `ceiling_hit` is the ceiling that was hit, if one was. `node_completed`: a node
    has returned before, so the input is not the cause. Never raises, whatever `error` is."""
    error = _original_error(error)
    try:
        return _failure(error, ceiling_hit, node, node_completed)
    except Exception as problem:
        log.error("failure.not_described", exception=traceback_of(problem))
        return Failure(NodeFailed.code, class_name(error), HIDDEN, HIDDEN, node, False, {})


def _failure(error: BaseException, ceiling_hit: CeilingHit | None, node: str | None, node_completed: bool) -> Failure:
    slipway_error = _as_slipway_error(error)
    if isinstance(slipway_error, CeilingHit):
        ceiling_hit = ceiling_hit or slipway_error
    if ceiling_hit is not None:
        return _ceiling_failure(ceiling_hit, error, node)
    if is_a(error, GraphRecursionError):
        return _plain_failure("ceiling.steps", error, None, retryable=False)
    if is_a(error, _INPUT_ERRORS) and not node_completed:
        return _input_failure(error)
    if isinstance(slipway_error, RunFailure):
        return _plain_failure(slipway_error.code, error, slipway_error.node or node, retryable=slipway_error.retryable)
    if slipway_error is not None:
        return _plain_failure(slipway_error.code, error, node, retryable=slipway_error.retryable)
    return _plain_failure(NodeFailed.code, error, node, retryable=False)


def public_error(error: BaseException) -> dict[str, str]:
    """The class and the text of an exception that clients receive."""
    error = _original_error(error)
    return {"error": class_name(error), "message": public_text(error)}


def _original_error(error: BaseException) -> BaseException:
    """The exception that the graph raised. `error` may have replaced it: because the original would have ended the
    event loop (`contained_errors`), or because the original raised another one when LangGraph added a note to it."""
    if type(error) is GraphRaised:
        return error.raised
    handled = exception_being_handled(error, _LANGGRAPH)
    return error if handled is None else _original_error(handled)


def _as_slipway_error(error: BaseException) -> SlipwayError | None:
    """`error` if its class is one of Slipway's. A class that a graph derived from one of them does not count."""
    return error if any(type(error) is kind for kind in _SLIPWAY_ERRORS) and isinstance(error, SlipwayError) else None


def _plain_failure(code: str, error: BaseException, node: str | None, *, retryable: bool) -> Failure:
    message, rejected_answer = message_of(error), _rejected_answer(error)
    public_message = message if rejected_answer else public_text(error)
    return Failure(code, class_name(error), message, public_message, node, retryable, {}, rejected_answer)


def _rejected_answer(error: BaseException) -> dict[str, Any]:
    """Details of an answer that `strict_resume` rejected. Empty for every other error."""
    if not any(type(error) is kind for kind in _REJECTED_ANSWER_ERRORS):
        return {}
    named, pending = getattr(error, "interrupt_ids", ()), getattr(error, "pending_ids", ())
    return {"reason": getattr(error, "reason", ""), "interrupt_ids": list(named), "pending_ids": list(pending)}


def _ceiling_failure(hit: CeilingHit, error: BaseException, node: str | None) -> Failure:
    message = public_message = str(hit)
    if hit.ceiling == "retries":
        last = f"; the last failure was {class_name(error)}"
        message += f"{last}: {message_of(error)}"
        public_message += f"{last}: {message_of(error)}" if is_a(error, SHOWN) else last
    # the class name by which clients of the protocol recognise too many supersteps
    name = GraphRecursionError.__name__ if hit.ceiling == "steps" else "CeilingHit"
    return Failure(hit.full_code, name, message, public_message, hit.node or node, False, hit.numbers())


def _input_failure(error: BaseException) -> Failure:
    message = _field_problems(error) if type(error) is ValidationError else message_of(error)
    if is_a(error, EmptyInputError) and message == EmptyInputError.__name__:
        message = "the input is empty"
    return Failure(InputRefused.code, class_name(error), message, message, None, False, {})


def _field_problems(error: ValidationError) -> str:
    """The problem of each field. `errors()` may fail if a validator of the graph raised an exception with a hostile
    class."""
    try:
        problems = [f"{'.'.join(map(str, p['loc'])) or 'input'}: {p['msg']}" for p in error.errors(include_url=False)]
    except Exception:
        return message_of(error)
    text = "; ".join(problems)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
