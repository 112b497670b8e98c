"""Why a call of a model failed, whether the next model is tried, and whether the circuit breaker counts it.

The exceptions of providers have no common class. Most have an HTTP status, and the integrations of LangChain map theirs
to `langchain_core.exceptions.ModelError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langgraph.errors import GraphBubbleUp

from slipway.circuit_breakers.scripts import Outcome
from slipway.errors import BreakerOpen, SlipwayError
from slipway.exception_text import causes_of, class_name, message_of
from slipway.http_status import codes_of, http_status_of


@dataclass(frozen=True, slots=True)
class ModelFailure:
    """Why a model did not reply, for operators. It has no text of the provider, which may contain parts of a key."""

    kind: str
    """In words, such as `rate limit`."""
    detail: str
    """The class of the exception and the HTTP status, such as `RateLimitError, status 429`."""
    advice: str
    """What an operator can do."""
    counts: bool
    """Whether the circuit breaker of the model counts it: it says that the service does not work."""

    def __str__(self) -> str:
        return f"{self.kind} ({self.detail})" if self.detail else self.kind


_RATE_LIMIT: Final = ("rate limit", "wait, or raise the limit at the provider", True)
_TIME_OUT: Final = ("time-out", "raise SLIPWAY_MODEL_TIMEOUT_S or the route's timeout_s if replies take longer", True)
_UNREACHABLE: Final = ("not reachable", "check the network and the address of the provider", True)
_SERVER_ERROR: Final = ("error of the provider", "wait, or check the provider's status page", True)
_AUTHENTICATION: Final = ("key not accepted", "check the provider's API key in the environment of all processes", True)
_KEY_NOT_SENT: Final = (
    "key not usable",
    "the provider's API key is empty, or has a character that no HTTP header may have, such as a line break: check it "
    "in the environment of all processes",
    True,
)
_NOT_PAID: Final = ("nothing left to pay with", "add credit, or raise the quota at the provider", True)
_NOT_FOUND: Final = ("unknown model", "check the name of the model", True)
_TOO_LONG: Final = ("too long for the model", "add a model with a larger context to the route", False)
_OTHER: Final = ("error", "see the log (model.failed)", True)
_IN_CODE: Final = ("error", "see the log (model.failed)", False)

_BY_CLASS: Final[tuple[tuple[tuple[type[BaseException], ...], tuple[str, str, bool] | None], ...]] = (
    ((ContextOverflowError,), _TOO_LONG),
    ((ModelRateLimitError,), _RATE_LIMIT),
    ((ModelTimeoutError, TimeoutError), _TIME_OUT),
    ((ModelConnectionError,), _UNREACHABLE),
    ((ModelAPIError,), _SERVER_ERROR),
    ((ModelAuthenticationError, ModelPermissionDeniedError), _AUTHENTICATION),
    ((ModelNotFoundError,), _NOT_FOUND),
    ((ModelInvalidRequestError,), None),
)
"""By class, the first that matches. None: a request that every model would reject."""

_BY_STATUS: Final = {
    401: _AUTHENTICATION,
    402: _NOT_PAID,
    403: _AUTHENTICATION,
    404: _NOT_FOUND,
    408: _TIME_OUT,
    429: _RATE_LIMIT,
    504: _TIME_OUT,
}

_NOT_PAID_CODES: Final = frozenset({"billing_error", "insufficient_quota"})
_BY_TEXT: Final = {"credit balance is too low": _NOT_PAID, "API key not valid": _AUTHENTICATION}
"""What Anthropic and Google have sent with the status of a wrong request (400)."""

_ERRORS_IN_CODE: Final = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    NameError,
    NotImplementedError,
)
"""They say nothing about the service: the error may be in the graph's own code, whose calls must not open the circuit
breaker for all other graphs."""


def model_failure(error: BaseException) -> ModelFailure | None:
    """The failure that `error` is. None if the next model must not be tried: the request is wrong, the run was stopped
    or interrupted, or the error is one of Slipway's, such as a ceiling."""
    if isinstance(error, BreakerOpen):
        detail = f"after {error.failures} failures, the last with {error.problem}"
        advice = f"the next call is permitted in {error.retry_in_s:.0f} s; see GET /ops/breakers"
        return ModelFailure("circuit breaker open", detail, advice, counts=False)
    if not isinstance(error, Exception) or isinstance(error, GraphBubbleUp | SlipwayError):
        return None
    status = http_status_of(error)
    described = _described(error, status)
    if described is None:
        return None
    kind, advice, counts = described
    return ModelFailure(kind, class_name(error) + (f", status {status}" if status else ""), advice, counts)


def opening_failure(error: Exception) -> ModelFailure:
    """Why a model could not be created. The text of an `ImportError` names the package to install."""
    if isinstance(error, ImportError):
        return ModelFailure("not installed", class_name(error), str(error).strip(), counts=False)
    advice = "check the name and the settings of the model, and the provider's API key; see the log (model.failed)"
    return ModelFailure("cannot be created", class_name(error), advice, counts=False)


def judge(error: BaseException) -> Outcome:
    """What an exception of a call says about the model, for its circuit breaker: one that rejects a wrong request
    works."""
    failure = model_failure(error)
    if failure is not None:
        return "failed" if failure.counts else "unknown"
    return "succeeded" if isinstance(error, ModelError) or http_status_of(error) else "unknown"


def _described(error: Exception, status: int | None) -> tuple[str, str, bool] | None:
    if not _NOT_PAID_CODES.isdisjoint(codes_of(error)):
        return _NOT_PAID
    if status == 400:
        message = message_of(error)
        for text, of_text in _BY_TEXT.items():
            if text in message:
                return of_text
    if _is_not_sendable(error):
        return _KEY_NOT_SENT
    for classes, described in _BY_CLASS:
        if isinstance(error, classes):
            return described
    if status is not None:
        return _BY_STATUS.get(status, _SERVER_ERROR) if status >= 500 or status in _BY_STATUS else None
    names = _class_names(error)
    if "Timeout" in names:
        return _TIME_OUT
    if isinstance(error, OSError) or "Connection" in names or "TransportError" in names:  # of httpx, and of httpx2
        return _UNREACHABLE
    return _IN_CODE if isinstance(error, _ERRORS_IN_CODE) else _OTHER


def _class_names(error: BaseException) -> str:
    return " ".join(kind.__name__ for kind in type(error).__mro__)


def _is_not_sendable(error: BaseException) -> bool:
    """Whether the request was never sent, because a header cannot have its value. SDKs call that a connection error.
    The value is the key: everything else in the headers is theirs."""
    for cause in causes_of(error):
        if isinstance(cause, UnicodeEncodeError) and cause.encoding == "ascii":
            return True
        if "LocalProtocolError" in _class_names(cause) and "header value" in message_of(cause):
            return True
    return False
