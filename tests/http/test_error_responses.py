"""Responses for errors: status, headers and members of the body."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from slipway.api.responses import error_response
from slipway.errors import (
    AccessRefused,
    CeilingHit,
    Conflict,
    GraphUnavailable,
    InvalidRequest,
    NotFound,
    Overloaded,
    RefusedRequest,
    SlipwayError,
    StoreUnavailable,
    TooLarge,
    Unavailable,
)


@pytest.mark.parametrize(
    ("error", "status", "members"),
    [
        (InvalidRequest("limit", "is wrong"), 422, {"code": "request.invalid", "field": "limit"}),
        (
            InvalidRequest("graph_id", "is unknown", known=["b", "a"]),
            422,
            {"code": "request.invalid", "field": "graph_id", "known": ["a", "b"]},
        ),
        (RefusedRequest("no"), 400, {"code": "request.refused"}),
        (NotFound("run", "7"), 404, {"code": "not_found", "kind": "run", "id": "7"}),
        (NotFound("graph", "x", ["a"]), 404, {"code": "not_found", "kind": "graph", "id": "x", "known": ["a"]}),
        (Conflict("answered", answered_by="7"), 409, {"code": "conflict", "answered_by": "7"}),
        (TooLarge("no"), 413, {"code": "too_large"}),
        (AccessRefused(418, "no"), 418, {"code": "access.refused"}),
        (StoreUnavailable("no reply"), 503, {"code": "store.unavailable"}),
        (
            Overloaded(0.91234, 0.9, 5),
            503,
            {"code": "overloaded", "memory_ratio": 0.9123, "reserved_ratio": 0.0, "limit": 0.9},
        ),
        (GraphUnavailable("no"), 503, {"code": "graph.unavailable"}),
        (CeilingHit("state_bytes", 5, 6), 413, {"code": "ceiling.state_bytes", "limit": 5, "used": 6}),
    ],
)
def test_the_response_for_an_error_has_its_status_and_its_details(
    error: SlipwayError, status: int, members: dict[str, Any]
) -> None:
    response = error_response(error)
    assert (response.status_code, orjson.loads(response.body)) == (status, {"detail": str(error)} | members)


def test_a_response_503_has_a_retry_after_header_in_seconds() -> None:
    assert error_response(Unavailable("full")).headers["retry-after"] == "1"
    assert error_response(Overloaded(0.95, 0.9, 7)).headers["retry-after"] == "7"
    assert "retry-after" not in error_response(Conflict("no")).headers


def test_the_headers_of_an_error_of_the_auth_file_are_sent() -> None:
    assert (
        error_response(AccessRefused(401, "no", {"www-authenticate": "Basic"})).headers["www-authenticate"] == "Basic"
    )
