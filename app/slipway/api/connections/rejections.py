"""The response to a client that is rejected before its request reaches the application."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from slipway.api.responses import error_response
from slipway.errors import SlipwayError


def raw_response(reason: SlipwayError, headers: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """The bytes of the response, after which the connection is closed. `headers` are sent with it."""
    response = error_response(reason)
    closing = [pair for pair in response.raw_headers if pair[0] != b"connection"]
    lines = [f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}".encode()]
    lines += [name + b": " + value for name, value in (*headers, *closing, (b"connection", b"close"))]
    return b"\r\n".join([*lines, b"", bytes(response.body)])


def address_of(client: tuple[str, int] | None) -> str | None:
    """The address of a client, for the log. None if it is not known, as that of a Unix socket."""
    return None if client is None else f"{client[0]}:{client[1]}"
