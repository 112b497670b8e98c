"""What a handler answers with: JSON made by orjson, and errors in one shape.

Every error is `{"detail": "<sentence>", "code": …}` plus what its class adds; `detail` is always a string, because both
SDKs show the first string they find. Errors of the long-term store have the sentence under `error` too: clients of the
reference server look there. Which error has which status is written here and nowhere else.
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
    CeilingHit,
    Conflict,
    ForeignHost,
    ForeignOrigin,
    GraphUnavailable,
    InvalidRequest,
    NotFound,
    NotJson,
    RefusedRequest,
    SlipwayError,
    TooLarge,
    Unavailable,
)
from slipway.serialization.json_encoding import dumps

STATUS: Final[Mapping[type[SlipwayError], int]] = {
    InvalidRequest: 422,
    RefusedRequest: 400,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    CeilingHit: 413,  # a state write; a run that hits a ceiling has an error of its own
    ForeignOrigin: 403,
    NotJson: 415,
    ForeignHost: 421,
    Unavailable: 503,
    GraphUnavailable: 503,
}
"""Subclasses follow their parent; an error that is not here is our own fault: 500."""


_STORE: Final = "/store/"


class JsonResponse(Response):
    """`content` as JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return content if isinstance(content, bytes) else dumps(content)


def empty_response(status: int = 204) -> Response:
    """No body: deletes answer 204, a cancel that is on its way 202."""
    return Response(status_code=status)


def status_of(error: SlipwayError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, AccessRefused):
        return error.status
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def error_response(error: SlipwayError, path: str = "") -> Response:
    """The answer for an error that Slipway raised on purpose; `path` is that of the request."""
    headers = error.headers if isinstance(error, AccessRefused) else {}
    if isinstance(error, Unavailable):
        headers["retry-after"] = str(error.retry_after_s)
    if isinstance(error, TooLarge):
        headers["connection"] = "close"  # what is left of the body is not worth reading
    shown = {"detail": str(error), **error.details()}
    if path.startswith(_STORE):
        shown["error"] = shown["detail"]
    return JsonResponse(shown, status_of(error), headers)


def response_for_error(error: Exception, request_id: str, path: str = "") -> Response:
    """The answer for any error. What went wrong in an auth file is for the log alone."""
    if isinstance(error, SlipwayError) and not isinstance(error, AuthBroken):
        return error_response(error, path)
    return internal_error_response(request_id)


def internal_error_response(request_id: str) -> Response:
    """The answer for an error nobody foresaw; the log has the rest under the same id."""
    return JsonResponse({"detail": "internal error", "code": "internal", "request_id": request_id}, 500)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: unknown routes and wrong methods."""
    assert isinstance(error, HTTPException)
    phrase = error.detail or HTTPStatus(error.status_code).phrase
    detail = f"{phrase}: {request.method} {request.url.path}"
    return JsonResponse({"detail": detail, "code": f"http.{error.status_code}"}, error.status_code, error.headers)
