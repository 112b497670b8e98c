"""Responses: JSON encoded by orjson, and errors in one shape.

Every error is `{"detail": "<sentence>", "code": …}` plus the details of its class. `detail` is always a string, because
both SDKs show the first string that they find. Errors of the long-term store have the sentence in `error` too, because
clients of the reference server read it there. Only this module maps errors to HTTP statuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from slipway.errors import (
    AccessRefused,
    AuthBroken,
    BudgetUsedUp,
    CeilingHit,
    ClientTooSlow,
    Conflict,
    ForeignHost,
    ForeignOrigin,
    GraphUnavailable,
    HeadersTooLarge,
    HookBodyUnknown,
    InvalidRequest,
    MalformedRequest,
    NotFound,
    NotJson,
    RateLimited,
    RefusedRequest,
    RequestLineTooLong,
    SlipwayError,
    TooLarge,
    TooManyStreams,
    Unavailable,
)
from slipway.redaction.redact import redact_json
from slipway.serialization.json_encoding import dumps, dumps_in_turns

STATUS: Final[Mapping[type[SlipwayError], int]] = {
    InvalidRequest: 422,
    RefusedRequest: 400,
    NotFound: 404,
    Conflict: 409,
    MalformedRequest: 400,
    ClientTooSlow: 408,
    TooLarge: 413,
    RequestLineTooLong: 414,
    HeadersTooLarge: 431,
    CeilingHit: 413,  # a state write; a run that hits a ceiling has an error of its own
    ForeignOrigin: 403,
    NotJson: 415,
    HookBodyUnknown: 415,
    ForeignHost: 421,
    BudgetUsedUp: 429,
    RateLimited: 429,
    TooManyStreams: 429,
    Unavailable: 503,
    GraphUnavailable: 503,
}
"""A class without an entry has the status of its base class; without one it is a fault of Slipway: 500."""

_STORE_PATHS: Final = "/store/"


class JsonResponse(Response):
    """Encodes `content` as JSON. Bytes must be JSON already. Secrets are replaced in both."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return redact_json(content if isinstance(content, bytes) else dumps(content))


async def large_response(content: Any) -> JsonResponse:
    """A response whose content may be large. Then it is encoded in slices, between which the event loop continues."""
    return JsonResponse(await dumps_in_turns(content))


def empty_response(status: int = 204) -> Response:
    return Response(status_code=status)


def status_of(error: SlipwayError) -> int:
    if isinstance(error, AccessRefused):
        return error.status
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def error_response(error: SlipwayError, path: str = "") -> Response:
    """The response for an error that Slipway raised on purpose. `path` is the path of the request, without a prefix."""
    headers = {"x-content-type-options": "nosniff"}
    if isinstance(error, AccessRefused):
        headers |= error.headers
    if isinstance(error, Unavailable | RateLimited | TooManyStreams):
        headers["retry-after"] = str(error.retry_after_s)
    if isinstance(error, TooLarge):
        headers["connection"] = "close"  # the rest of the body is not read
    content = {"detail": str(error), **error.details()}
    if path.startswith(_STORE_PATHS):
        content["error"] = content["detail"]
    return JsonResponse(content, status_of(error), headers)


def response_for_error(error: Exception, request_id: str, path: str = "") -> Response:
    """The response for any error. The error of a failed auth file is only in the log."""
    if isinstance(error, SlipwayError) and not isinstance(error, AuthBroken):
        return error_response(error, path)
    return internal_error_response(request_id)


def internal_error_response(request_id: str) -> Response:
    """The response for an unexpected exception. The log has it under the same request id."""
    return JsonResponse({"detail": "internal error", "code": "internal", "request_id": request_id}, 500)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """The response for an error of Starlette itself: an unknown route or a wrong method."""
    assert isinstance(error, HTTPException)
    phrase = error.detail or HTTPStatus(error.status_code).phrase
    detail = f"{phrase}: {request.method} {request.url.path}"
    return JsonResponse({"detail": detail, "code": f"http.{error.status_code}"}, error.status_code, error.headers)
