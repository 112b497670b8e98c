"""The headers of a webhook call: those of langgraph.json, and the signature of standardwebhooks.com."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from slipway.errors import ConfigError
from slipway.graphs.official_sections import WebhooksSection

_TEMPLATE: Final = re.compile(r"\$\{\{\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


def headers_of(section: WebhooksSection, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The headers of langgraph.json with the values of their environment variables. Raises `ConfigError` for a variable
    that is not set, or whose name does not begin with `webhooks.env_prefix`."""
    variables = os.environ if environment is None else environment

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if not name.startswith(section.env_prefix):
            raise ConfigError(f"webhooks.headers: {name} may not be used: a name must begin with {section.env_prefix}")
        if name not in variables:
            raise ConfigError(f"webhooks.headers: the environment variable {name} is not set")
        return variables[name]

    filled = {name: _TEMPLATE.sub(value, text) for name, text in section.headers.items()}
    for name, text in filled.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or re.search(r"[^\t\x20-\x7e]", text):
            raise ConfigError(f"webhooks.headers: {name!r} cannot be a header: visible ASCII characters only")
    return filled


def secret_of(text: str) -> bytes:
    """The signing key: `whsec_` and base64 as in standardwebhooks.com, or any other text unchanged. Raises
    `ConfigError`."""
    if not text.startswith("whsec_"):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ConfigError("SLIPWAY_WEBHOOK_SECRET: what follows whsec_ is not base64") from None


def signature(secret: bytes, delivery_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The headers from which a receiver verifies the sender and the time (standardwebhooks.com, version 1)."""
    seconds = str(int(now.timestamp()))
    digest = hmac.new(secret, f"{delivery_id}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
