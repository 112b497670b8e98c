"""Reads headers of an ASGI scope without building objects for them."""

from __future__ import annotations

from starlette.types import Scope


def header_value(scope: Scope, name: bytes) -> bytes:
    """The value of a header, by its name in lower case; empty when the request does not have it."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""
