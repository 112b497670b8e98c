"""HTTP requests: their routes, statuses and times, and those that are rejected."""

from __future__ import annotations

from typing import Final

from slipway.telemetry.table.area import Area
from slipway.telemetry.table.buckets import REQUESTS
from slipway.telemetry.table.event_kind import error, info, warning
from slipway.telemetry.table.field import Field, Unit
from slipway.telemetry.table.fields import (
    CODE,
    FIX,
    HOST,
    MEMBER,
    METHOD,
    PATH,
    POLICY,
    PROBLEM,
    REQUEST_ID,
    ROUTE,
    RUN,
    SETTING,
    SHADOW,
    STATUS,
)
from slipway.telemetry.table.metric_kind import counter, histogram

_MS: Final = Field("ms", Unit.MILLISECONDS, "the time to the last byte")
_HEADERS: Final = Field("headers", Unit.MAPPING, "the headers that `http.logging_headers` selects")
_HEADER: Final = Field("header", Unit.NAME, "the header of the request")
_CLIENT: Final = Field("client", Unit.TEXT, "the address or the user of the client")
_ORIGIN: Final = Field("origin", Unit.TEXT, "the origin of the page")
_TAKEN_BY: Final = Field("taken_by", Unit.TEXT, "what serves the path instead")
_LIMIT: Final = Field("limit", Unit.COUNT, "how many files the system permits")
_NEEDED: Final = Field("needed", Unit.COUNT, "how many files are needed")
_MAX_CONNECTIONS: Final = Field("max_connections", Unit.COUNT, "how many connections are accepted instead")

_EVENTS: Final = (
    info(
        "http.request",
        "A request ended with a status of 400 or more. At the level debug, every request is logged.",
        *(METHOD, PATH, ROUTE, STATUS, _MS, REQUEST_ID, _HEADERS),
    ),
    error(
        "http.request_failed",
        "A request failed because of a fault of Slipway or of a handler of the project. The client got the status 500.",
        *(PATH, REQUEST_ID),
        has_exception=True,
    ),
    error("http.stream_failed", "An event stream ended because of a fault of Slipway.", has_exception=True),
    error("http.wait_failed", "A response that waits for a run failed because of a fault.", has_exception=True),
    info(
        "http.client_rejected",
        "A client exceeded a limit of its connection, before its request reached the application.",
        *(CODE, _CLIENT, PROBLEM),
    ),
    warning("http.host_rejected", "A request named a host that is not allowed.", HOST, SETTING),
    warning("http.origin_rejected", "A page of an origin that is not allowed sent a request.", _ORIGIN, SETTING),
    warning(
        "web.open_files_limited",
        "The process may not open as many files as it could need, so it accepts fewer connections.",
        *(_LIMIT, _NEEDED, _MAX_CONNECTIONS),
    ),
    warning("hooks.path_taken", "A hook cannot be reached at its path.", PATH, _TAKEN_BY),
    warning(
        "langgraph_json.credential_not_passed",
        "A header that langgraph.json passes to runs is a credential, so it is not passed.",
        *(MEMBER, _HEADER, FIX),
    ),
    warning(
        "rate.exceeded",
        "A client sent more requests than its rate permits. One line for each client in a minute.",
        *(SHADOW, POLICY, _CLIENT),
    ),
    warning(
        "rate.unchecked",
        "Requests are served without counting them, because Redis does not answer. One line in a minute.",
        *(SHADOW, PROBLEM),
    ),
    info("stream_slot.not_released", "The slot of a stream was not released; it becomes free when it expires."),
    info("stream_slots.not_renewed", "The slots of the open streams were not renewed, because Redis does not answer."),
    warning(
        "run.not_cancelled",
        "A client disconnected whose run is to be cancelled then, and cancelling it failed: the run goes on.",
        *(RUN, PROBLEM),
    ),
)

HTTP_REQUESTS: Final = counter("slipway_http_requests", "Requests by method, route and status", METHOD, ROUTE, STATUS)
HTTP_REQUEST_SECONDS: Final = histogram(
    "slipway_http_request_seconds",
    "Time to the last byte, streams included",
    ROUTE,
    buckets=REQUESTS,
)

AREA: Final = Area("HTTP requests", _EVENTS, (HTTP_REQUESTS, HTTP_REQUEST_SECONDS))
